import Glibc
import Synchronization

/// SIGTERM and SIGUSR1 ask a training to stop after saving, as schedulers do before they take the
/// machine back.
enum StopRequest {
  private static let flag = Atomic<Bool>(false)

  static func watch() {
    let handler: @convention(c) (Int32) -> Void = { _ in
      StopRequest.flag.store(true, ordering: .relaxed)
    }
    signal(SIGTERM, handler)
    signal(SIGUSR1, handler)
  }

  static var isMade: Bool { flag.load(ordering: .relaxed) }
}
