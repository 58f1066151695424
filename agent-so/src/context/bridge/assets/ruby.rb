# Evaluated in a nameless module before the program's own code (context/bridge/ruby.rs). It must never print, and never raise in
# the program's code. The module has native functions: adopt, current, enter, fibers, hand_over, inherit, leave, match, reads,
# threads, unsure.
# What may run in a Ractor uses nothing but these, and constants that are modules.
NATIVE = self

# The descriptor below a server's connection.
def self.descriptor(io)
  io = io.to_io
  io = io.to_io unless ::IO === io
  io.fileno
rescue ::StandardError
  -1
end

# Puma: threads of a pool answer requests that were read here or on the reactor's thread.
module PumaServer
  def handle_request(client, *)
    NATIVE.enter(NATIVE.descriptor(client))
    super
  ensure
    NATIVE.leave
  end
end

# Async::HTTP, Falcon: a fiber a connection.
module AsyncServer
  def accept(peer, *, **)
    ::Thread.current[:otel_run_socket] = NATIVE.descriptor(peer)
    super
  end

  def call(*)
    NATIVE.enter(::Thread.current[:otel_run_socket] || -1)
    super
  ensure
    NATIVE.leave
  end
end

# Threads and fibers that are begun in a request work for it ...
module Begun
  def initialize(...)
    NATIVE.inherit(self)
    super
  end
end

# ... until they take work from others: a pool may have begun in a request, but its jobs come from all.
module Waits
  def wait(...)
    NATIVE.hand_over
    super
  end
end

module Takes
  %i[pop shift deq].each do |name|
    module_eval("def #{name}(...)\nNATIVE.hand_over\nsuper\nend", '(otel-run)')
  end
end

module Dequeues
  def dequeue(...)
    NATIVE.hand_over
    super
  end
end

# concurrent-ruby: a block of the program's works for whoever gave it away; one of the library's own may be anybody's.
module Posts
  def post(*args, &task)
    super(*args, &NATIVE.carried(task))
  end
end

module Futures
  def future_on(executor, *args, &task)
    super(executor, *args, &NATIVE.carried(task))
  end
end

module Future
  def initialize(*args, &task)
    super(*args, &NATIVE.carried(task))
  end
end

def self.carried(task)
  token = current
  return task if token == 0 || task.nil? || task.source_location&.first&.include?('/concurrent/')

  proc do |*args|
    before = NATIVE.adopt(token)
    begin
      task.call(*args)
    ensure
      NATIVE.adopt(before)
    end
  end
end

# What a framework's router has matched, told while the request is not answered yet.
def self.matched(template)
  match(template, template.bytesize) if ::String === template
rescue ::StandardError
  nil
end

module SinatraRoutes
  def call!(env)
    super
  ensure
    NATIVE.matched(env['sinatra.route']&.split(' ', 2)&.last)
  end
end

# Rails says itself what it is since 7.1; before, the router's own list is noted, and what it made of the one it took.
module RailsRoutes
  private

  def find_routes(*)
    ::Thread.current[:otel_run_routes] = super
  end
end

module RailsDispatch
  def serve(request)
    NATIVE.dispatched(request)
    super
  end
end

def self.dispatched(request)
  return matched(request.route_uri_pattern) if request.respond_to?(:route_uri_pattern)

  found = ::Thread.current[:otel_run_routes]
  given = request.path_parameters
  _, _, route = found&.select { |_, own, taken| taken.defaults.merge(own) <= given }&.max_by { |_, own, _| own.size }
  matched(route.path.spec.to_s) if route
rescue ::StandardError
  nil
ensure
  ::Thread.current[:otel_run_routes] = nil
end

# What is done when a class is there, whose methods these are.
@awaited = {
  'Puma::Server' => [:handle_request, ->(server) { server.prepend(PumaServer) }],
  'WEBrick::HTTPServer' => [:service, ->(_) {}],
  'Unicorn::HttpServer' => [:process_client, ->(_) {}],
  'Async::HTTP::Server' => [:call, lambda do |server|
    server.prepend(AsyncServer)
    ::Fiber.prepend(Begun)
    NATIVE.fibers
  end],
  'Async::Queue' => [:dequeue, ->(queue) { queue.prepend(Dequeues) }],
  'Concurrent::RubyExecutorService' => [:post, ->(service) { service.prepend(Posts) }],
  'Concurrent::Promises::FactoryMethods' => [:future_on, ->(methods) { methods.prepend(Futures) }],
  'Concurrent::Future' => [:initialize, ->(future) { future.prepend(Future) }],
  'Sinatra::Base' => [:call!, ->(base) { base.prepend(SinatraRoutes) if NATIVE.reads(0) == 1 }],
  'ActionDispatch::Journey::Router' => [:find_routes, ->(router) { router.prepend(RailsRoutes) if NATIVE.reads(1) == 1 }],
  'ActionDispatch::Routing::RouteSet::Dispatcher' => [:serve, lambda do |dispatcher|
    dispatcher.prepend(RailsDispatch) if NATIVE.reads(1) == 1
  end]
}
SERVERS = %w[Puma::Server WEBrick::HTTPServer Unicorn::HttpServer Async::HTTP::Server].freeze

def self.defined(name, type)
  method, action = @awaited[name]
  return unless method && (type.method_defined?(method) || type.private_method_defined?(method))

  @awaited.delete(name)
  follow_threads if SERVERS.include?(name)
  action.call(type)
rescue ::StandardError
  @awaited.delete(name)
end

def self.follow_threads
  return if @threads

  @threads = true
  [::Queue, ::SizedQueue].each { |queue| queue.prepend(Takes) }
  ::ConditionVariable.prepend(Waits)
  ::Thread.prepend(Begun)
  NATIVE.threads
end

# What is loaded already, without loading anything.
def self.find(name)
  name.split('::').inject(::Object) do |within, part|
    return if within.autoload?(part) || !within.const_defined?(part, false)

    within.const_get(part, false)
  end
end

if ::RUBY_VERSION.to_f >= 3.3 && ::ENV['RUBY_MN_THREADS'] == '1'
  # Threads move between those of the system: what is known of these says nothing.
  NATIVE.unsure
else
  @awaited.keys.each do |name|
    type = find(name)
    defined(name, type) if type
  end
  name_of = ::Module.instance_method(:name)
  ::TracePoint.new(:end) do |point|
    type = point.self
    name = name_of.bind_call(type)
    defined(name, type) if @awaited.key?(name)
  end.enable
end
