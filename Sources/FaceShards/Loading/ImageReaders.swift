import Dispatch
import Synchronization

/// Threads that read images of a batch beside one another, each into a buffer of its own: while one waits for
/// the disk, others unpack and cut.
final class ImageReaders: @unchecked Sendable {
  /// More wait for a network file system only, and would take the processors from the step.
  static let usual = 4

  /// One a reader; touched by it alone.
  private let buffers: UnsafeMutableBufferPointer<[UInt8]>

  init(count: Int, imageSize: Int) {
    buffers = .allocate(capacity: count)
    buffers.initialize(repeating: [])
    for reader in buffers.indices { buffers[reader] = [UInt8](repeating: 0, count: imageSize) }
  }

  deinit {
    buffers.deinitialize()
    buffers.deallocate()
  }

  /// Does `body` for every turn below `count`, several at once, and returns when all are done.
  ///
  /// - Parameter body: given the turn and a buffer for an image.
  /// - Throws: the error of the first turn that failed, whichever came first in time.
  func forEach(_ count: Int, _ body: (_ turn: Int, _ image: inout [UInt8]) throws -> Void) throws {
    let next = Atomic<Int>(0)
    let failure = Mutex<(turn: Int, error: any Error)?>(nil)
    withoutActuallyEscaping(body) { body in
      // Called by several threads at once, which is what its caller has it for.
      nonisolated(unsafe) let body = body
      DispatchQueue.concurrentPerform(iterations: min(buffers.count, count)) { reader in
        while true {
          let turn = next.wrappingAdd(1, ordering: .relaxed).oldValue
          guard turn < count else { return }
          do { try body(turn, &buffers[reader]) } catch {
            failure.withLock { if $0 == nil || turn < $0!.turn { $0 = (turn, error) } }
          }
        }
      }
    }
    if let failed = failure.withLock({ $0 }) { throw failed.error }
  }
}
