# Puma and net/http: puma -C puma.rb. HTTPS with $TLS_CERT and $TLS_KEY, which Puma does through memory buffers.
require 'json'
require 'net/http'

UPSTREAM = ENV.fetch('UPSTREAM', 'http://127.0.0.1:5001')

port = ENV.fetch('PORT', '8000')
if ENV['TLS_CERT']
  ssl_bind '127.0.0.1', port, cert: ENV.fetch('TLS_CERT'), key: ENV.fetch('TLS_KEY')
else
  bind "tcp://127.0.0.1:#{port}"
end
threads 20, 20
log_requests false

app do |env|
  query = env['QUERY_STRING']
  id = query[/(?:^|&)id=([^&]*)/, 1]
  body =
    case env['PATH_INFO']
    when '/fetch'
      JSON.generate(id: id, upstream: JSON.parse(Net::HTTP.get(URI("#{UPSTREAM}/echo?#{query}"))))
    when '/echo'
      sleep(query[/(?:^|&)delay=(\d+)/, 1].to_i / 1000.0)
      headers = env.select { |name, _| name.start_with?('HTTP_') }
      JSON.generate(id: id, headers: headers.transform_keys { |name| name[5..].downcase.tr('_', '-') })
    else
      "hello from puma\n"
    end
  [200, { 'Content-Length' => body.bytesize.to_s }, [body]]
end
