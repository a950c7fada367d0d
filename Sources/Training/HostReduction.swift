import CKernels
import MessagePassing
import Synchronization
import Tensors

/// Sums an arena over the ranks of one host, in memory that they share: each rank adds up its share
/// of the places and writes the sums to every rank's arena.
final class HostReduction: @unchecked Sendable {
  private let memory: HostMemory
  private let workers: WorkerPool
  private let arenas: [UnsafeMutablePointer<Float>]
  /// This rank's places.
  private let share: Range<Int>
  private let isPoisoned = Atomic<Bool>(false)
  /// Made once, so that `sum` allocates nothing.
  private var sumChunk: (Int, Int) -> Void = { _, _ in }
  /// Places that a task takes.
  private static let chunk = 1 << 16

  /// - Parameters:
  ///   - memory: its parts are the arenas.
  ///   - count: length of an arena.
  init(_ memory: HostMemory, rank: Int, count: Int, workers: WorkerPool) {
    self.memory = memory
    self.workers = workers
    arenas = memory.parts.map { $0.assumingMemoryBound(to: Float.self) }
    // Whole cache lines, so that no two ranks write to one.
    let line = 16
    let lines = (count + line - 1) / line
    let ranks = arenas.count
    share = min(count, lines * rank / ranks * line)..<min(count, lines * (rank + 1) / ranks * line)
    sumChunk = { [unowned self] task, _ in
      let start = share.lowerBound + task * Self.chunk
      let count = min(share.upperBound - start, Self.chunk)
      let isFinite = arenas.withUnsafeBufferPointer {
        rfm_gradients_share($0.baseAddress!, ranks, start, count)
      }
      if isFinite == 0 { isPoisoned.store(true, ordering: .relaxed) }
    }
  }

  /// Waits for every rank's gradients and turns all arenas into their sums. Collective.
  ///
  /// - Returns: whether the sums of this rank's share are finite.
  func sum() -> Bool {
    isPoisoned.store(false, ordering: .relaxed)
    memory.barrier()
    workers.run((share.count + Self.chunk - 1) / Self.chunk, sumChunk)
    memory.barrier()
    return !isPoisoned.load(ordering: .relaxed)
  }
}
