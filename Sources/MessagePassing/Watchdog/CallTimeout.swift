import Foundations
import Glibc
import Synchronization

/// Ends this process when a call takes too long that all ranks must come to: the first of MPI and the
/// last, where no ``Watchdog`` can look. Which rank does not come can't be told then, only which one
/// waits.
///
/// Time in which the process itself was stopped is not counted.
final class CallTimeout: Sendable {
  private let isLifted = Atomic<Bool>(false)

  /// Begins to count.
  ///
  /// - Parameters:
  ///   - operation: MPI's name of the call.
  ///   - limit: seconds; 0: none.
  ///   - setting: the name of the limit, for the message.
  ///   - exitStatus: of the process that is ended, and so of the job.
  /// - Returns: nil where there is nothing to wait for: a single rank, or no limit.
  init?(_ operation: String, limit: Double, setting: String, exitStatus: Int32) {
    guard limit > 0, MessagePassing.size > 1 else { return nil }
    let rank = MessagePassing.rank
    WatchingThread { [self] in
      let pause = min(max(limit / 20, 0.02), 1)
      var (waited, last) = (0.0, monotonicSeconds)
      while waited < limit {
        usleep(UInt32(pause * 1e6))
        if isLifted.load(ordering: .relaxed) { return }
        let now = monotonicSeconds
        waited += min(now - last, 2 * pause)
        last = now
      }
      writeToStandardError(
        "rfm: rank \(rank): waited \(shown(seconds: waited)) in \(operation) (\(setting)): another "
          + "rank does not come to it; the job ends here\n")
      _exit(exitStatus)
    }.detach()
  }

  /// The call has returned.
  func lift() { isLifted.store(true, ordering: .relaxed) }
}
