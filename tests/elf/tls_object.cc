// The C++ half of tls_dtor.c: an object whose destructor runs when its thread ends.
extern "C" void farewell(void);
namespace {
struct Object {
    int used = 0;
    ~Object() {
        if (used) farewell();
    }
};
thread_local Object object;
} // namespace
extern "C" void touch_thread_local(void) { object.used = 1; }
