# What a request of the parent tests does on its way to $UPSTREAM, by its path: used by puma_parents.rb and async_parents.rb.
require 'concurrent'
require 'net/http'
require 'net/http/persistent'

module Requests
  UPSTREAM = ENV.fetch('UPSTREAM')

  module_function

  def call(query)
    Net::HTTP.get(URI("#{UPSTREAM}/echo?#{query}"))
  end

  # A worker that the first request begins, and that all requests give jobs to.
  JOBS = Queue.new
  LOCK = Mutex.new

  def worker
    LOCK.synchronize do
      @worker ||= Thread.new do
        loop do
          query, answer = JOBS.pop
          answer << call(query)
        end
      end
    end
  end

  POOL = Concurrent::FixedThreadPool.new(3)
  PERSISTENT = Net::HTTP::Persistent.new(name: 'parents')

  def answer(path, query)
    case path
    when '/direct' then call(query)
    when '/late'
      sleep(rand(5..30) / 1000.0)
      call(query)
    when '/thread' then Thread.new(query) { |q| call(q) }.value
    when '/thread-late'
      Thread.new do
        sleep(rand(5..30) / 1000.0)
        Thread.new { call(query) }.value
      end.value
    when '/fiber'
      Fiber.new { call(query) }.resume
    when '/enumerator'
      Enumerator.new { |out| out << call(query) }.next
    when '/persistent' then PERSISTENT.request(URI("#{UPSTREAM}/echo?#{query}")).body
    when '/pool'
      answer = Queue.new
      POOL.post { answer << call(query) }
      answer.pop
    when '/future' then Concurrent::Future.execute { call(query) }.value
    when '/promise' then Concurrent::Promises.future(query) { |q| call(q) }.value
    when '/worker'
      worker
      answer = Queue.new
      JOBS << [query, answer]
      answer.pop
    else 'hello'
    end
  end
end
