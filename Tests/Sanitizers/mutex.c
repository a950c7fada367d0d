// Tells the thread sanitizer of Swift's Mutex.
//
// A lock that is free is taken by an atomic operation in the instrumented code, which the sanitizer
// sees. One that somebody holds is handed over by the kernel, within the library of the toolchain,
// which it does not: what happened before would seem to happen at the same time. So these stand before
// the library's functions (launch/test has them loaded first), call them, and say what they did.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>

void __tsan_acquire(void *place) __attribute__((weak));
void __tsan_release(void *place) __attribute__((weak));

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context))
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

SWIFT void rfm_lock(uint32_t thread, SELF void *mutex) __asm__(LOCK);
SWIFT bool rfm_try_lock(SELF void *mutex) __asm__(TRY_LOCK);
SWIFT void rfm_unlock(SELF void *mutex) __asm__(UNLOCK);

SWIFT void rfm_lock(uint32_t thread, SELF void *mutex) {
  SWIFT void (*lock)(uint32_t, SELF void *) = dlsym(RTLD_NEXT, LOCK);
  lock(thread, mutex);
  if (__tsan_acquire) __tsan_acquire(mutex);
}

SWIFT bool rfm_try_lock(SELF void *mutex) {
  SWIFT bool (*try_lock)(SELF void *) = dlsym(RTLD_NEXT, TRY_LOCK);
  bool taken = try_lock(mutex);
  if (taken && __tsan_acquire) __tsan_acquire(mutex);
  return taken;
}

SWIFT void rfm_unlock(SELF void *mutex) {
  if (__tsan_release) __tsan_release(mutex);
  SWIFT void (*unlock)(SELF void *) = dlsym(RTLD_NEXT, UNLOCK);
  unlock(mutex);
}
