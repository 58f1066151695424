# /user/:id, /late/:id (answers later), /fail/:id (raises), /shop/:shop/item/:item in an engine; / answers, anything else is 404.
require 'action_controller/railtie'

class UsersController < ActionController::Base
  def show = render(plain: params[:id].to_s)

  def late
    sleep 0.02
    show
  end

  def fail = raise('failed')

  # The next route is tried.
  def pass = head(404, 'X-Cascade' => 'pass')
end

module Shop
  class Engine < Rails::Engine
    config.root = __dir__
    isolate_namespace Shop
  end

  class ItemsController < ActionController::Base
    def show = render(plain: params[:item])
  end
end

class App < Rails::Application
  config.root = __dir__
  config.eager_load = false
  config.consider_all_requests_local = false
  config.secret_key_base = 'x' * 64
  config.logger = Logger.new(File::NULL)
end

App.initialize!
Shop::Engine.routes.draw { get 'item/:item', to: 'items#show' }
App.routes.draw do
  root to: 'users#show'
  get 'user/pass', to: 'users#pass'
  resources :user, only: :show, controller: 'users'
  get 'late/:id', to: 'users#late'
  get 'fail/:id', to: 'users#fail'
  get 'optional(/:id)', to: 'users#show'
  get 'old/:id', to: redirect('/user/%{id}')
  scope('/admin/:tenant') { get 'user/:id', to: 'users#show' }
  mount Shop::Engine => '/shop/:shop'
  mount ->(_) { [200, {}, ['rack']] } => '/rack'
end

run App
