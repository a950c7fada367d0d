import Glibc

/// The seconds that one worker has spent in each operation of a pass.
///
/// Nobody else writes them, and they are read when no pass is under way.
final class OperationClock {
  private let forward: UnsafeMutableBufferPointer<Double>
  private let backward: UnsafeMutableBufferPointer<Double>

  init(operations: Int) {
    forward = .allocate(capacity: operations)
    backward = .allocate(capacity: operations)
    forward.initialize(repeating: 0)
    backward.initialize(repeating: 0)
  }

  deinit {
    forward.deallocate()
    backward.deallocate()
  }

  func seconds(_ operation: Int, isBackward: Bool) -> Double {
    isBackward ? backward[operation] : forward[operation]
  }

  @inline(__always)
  func measure(_ operation: Int, isBackward: Bool, _ body: () -> Void) {
    let start = Self.now
    body()
    let seconds = Self.now - start
    if isBackward { backward[operation] += seconds } else { forward[operation] += seconds }
  }

  /// Without an allocation, as the clocks of the standard library would need.
  private static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
