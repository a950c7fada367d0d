import Glibc

/// A thread that sleeps most of the time, and takes no signals: those are for the threads that expect
/// them.
struct WatchingThread: @unchecked Sendable {
  private let thread: pthread_t

  private final class Work {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  init(_ body: @escaping () -> Void) {
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    var thread = pthread_t()
    let created = pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, Unmanaged.passRetained(Work(body)).toOpaque())
    precondition(
      created == 0, "the system refuses another thread: \(String(cString: strerror(created)))")
    self.thread = thread
  }

  func join() { pthread_join(thread, nil) }
  func detach() { pthread_detach(thread) }
}

/// Seconds of a clock that nobody sets.
var monotonicSeconds: Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// Seconds as messages show them.
func shown(seconds: Double) -> String { "\((seconds * 10).rounded() / 10) s" }
