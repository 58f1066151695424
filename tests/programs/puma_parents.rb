# puma -C puma_parents.rb; HTTPS with $TLS_CERT and $TLS_KEY.
require_relative 'requests'

port = ENV.fetch('PORT')
if ENV['TLS_CERT']
  ssl_bind '127.0.0.1', port, cert: ENV.fetch('TLS_CERT'), key: ENV.fetch('TLS_KEY')
else
  bind "tcp://127.0.0.1:#{port}"
end
threads 5, 10
workers Integer(ENV.fetch('WORKERS', '0'))
preload_app! if ENV['PRELOAD']
log_requests false
environment 'production'

app do |env|
  body = Requests.answer(env['PATH_INFO'], env['QUERY_STRING'])
  [200, { 'Content-Length' => body.bytesize.to_s }, [body]]
end
