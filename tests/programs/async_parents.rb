# Async::HTTP::Server on $PORT: a fiber a connection, all on one thread.
require_relative 'requests'
require 'async'
require 'async/http/endpoint'
require 'async/http/internet'
require 'async/http/server'
require 'async/queue'

# A task that the first request begins, and that all requests give jobs to.
def tasks
  @tasks ||= Async::Queue.new.tap do |jobs|
    Async(transient: true) do
      while (query, answer = jobs.dequeue)
        answer << Requests.call(query)
      end
    end
  end
end

def answer(path, query)
  case path
  when '/task'
    Async do |task|
      task.sleep(rand(5..30) / 1000.0)
      Async { Requests.call(query) }.wait
    end.wait
  when '/internet' then Async::HTTP::Internet.new.get("#{Requests::UPSTREAM}/echo?#{query}").read
  when '/job'
    answer = Async::Queue.new
    tasks << [query, answer]
    answer.dequeue
  else Requests.answer(path, query)
  end
end

Async do
  endpoint = Async::HTTP::Endpoint.parse("http://127.0.0.1:#{ENV.fetch('PORT')}")
  app = lambda do |request|
    path, query = request.path.split('?', 2)
    Protocol::HTTP::Response[200, {}, [answer(path, query)]]
  end
  Async::HTTP::Server.new(app, endpoint).run
end
