# WEBrick and net/http; HTTPS with $TLS_CERT and $TLS_KEY.
require 'json'
require 'net/http'
require 'webrick'
require 'webrick/https'

UPSTREAM = ENV.fetch('UPSTREAM', 'http://127.0.0.1:5001')

tls = ENV['TLS_CERT'] ? {
  SSLEnable: true,
  SSLCertificate: OpenSSL::X509::Certificate.new(File.read(ENV['TLS_CERT'])),
  SSLPrivateKey: OpenSSL::PKey.read(File.read(ENV.fetch('TLS_KEY')))
} : {}

server = WEBrick::HTTPServer.new(
  BindAddress: '127.0.0.1', Port: Integer(ENV.fetch('PORT', '8000')),
  Logger: WEBrick::Log.new(File::NULL), AccessLog: [], **tls
)

def json(response, value)
  response['Content-Type'] = 'application/json'
  response.body = JSON.generate(value)
end

server.mount_proc('/') { |_request, response| response.body = "hello from ruby\n" }

server.mount_proc('/echo') do |request, response|
  sleep(Integer(request.query['delay'] || 0) / 1000.0)
  headers = request.header.transform_values { |values| values.join(',') }
  json(response, id: request.query['id'], headers: headers)
end

server.mount_proc('/fetch') do |request, response|
  reply = Net::HTTP.get(URI("#{UPSTREAM}/echo?#{request.query_string}"))
  json(response, id: request.query['id'], upstream: JSON.parse(reply))
end

%w[INT TERM].each { |signal| trap(signal) { server.shutdown } }
server.start
