import Foundations
import Glibc
import MessagePassing
import Synchronization

/// SIGTERM and SIGUSR1 ask a training to stop after saving, as schedulers do before they take the
/// machine back.
///
/// They are handled by a thread that does nothing else. To run a handler the kernel saves the
/// registers of the interrupted thread below its stack pointer; oneDNN's multiplies let that point
/// into the heap while they run (their workspace for a large k), so a signal handled there would
/// overwrite whatever lies before it. Threads that compute therefore block these signals.
package enum StopRequest {
  private static let flag = Atomic<Bool>(false)

  /// Begins to listen. Call it before the threads that compute are made: they inherit what the
  /// calling thread blocks.
  package static func watch() {
    var signals = self.signals
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    _ = listener
  }

  static var isMade: Bool { flag.load(ordering: .relaxed) }

  /// Work of all ranks that was given up because one of them was asked to stop.
  package struct Interruption: ReportableError {
    package var description: String { "stopped on request" }
    package var exitStatus: ExitStatus { .stopped }
  }

  /// Throws ``Interruption`` on every rank if any was asked to stop: a signal may reach one alone, and
  /// it reaches several at different moments. Collective.
  package static func check(_ communicator: Communicator) throws {
    if try communicator.any(isMade) { throw Interruption() }
  }

  private static var signals: sigset_t {
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGTERM)
    sigaddset(&signals, SIGUSR1)
    return signals
  }

  /// Starts the thread, once.
  private static let listener: Void = {
    _ = flag.load(ordering: .relaxed)
    let handler: @convention(c) (Int32) -> Void = { _ in
      StopRequest.flag.store(true, ordering: .relaxed)
    }
    signal(SIGTERM, handler)
    signal(SIGUSR1, handler)
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { _ in
        var signals = StopRequest.signals
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        while true { pause() }
      }, nil)
    precondition(code == 0, "a thread that takes signals can be started")
    pthread_detach(thread)
  }()
}
