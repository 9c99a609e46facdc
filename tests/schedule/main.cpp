// The schedule tests' program. Everything runs in one thread.
#include <gtest/gtest.h>

#if defined(__SANITIZE_ADDRESS__)
// A virtual process that is killed destroys nothing on its stack: that is the point, not a leak.
// Visible: the sanitizer's runtime is another library.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }
#endif

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
