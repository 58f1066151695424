# /user/:id, /late/:id (answers later), /fail/:id (raises), /in/:id in a middleware; / answers, anything else is 404.
require 'sinatra/base'

class Inner < Sinatra::Base
  get('/in/:id') { params[:id] }
end

class App < Sinatra::Base
  set show_exceptions: false, raise_errors: false, logging: false, dump_errors: false
  use Inner
  get('/') { 'ok' }
  get('/user/:id') { params[:id] }
  get('/late/:id') { sleep 0.02; params[:id] }
  get('/shop/:shop/item/:item') { params[:item] }
  get('/fail/:id') { raise 'failed' }
  get('/files/*.*') { 'file' }
  get(%r{/page/(\d+)}) { 'page' }
end

map('/below') { run App }
run App
