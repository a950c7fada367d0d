import CKernels
import MessagePassing
import Synchronization
import Tensors

/// Sums an arena over the ranks of one host, in memory that they share.
///
/// The arena is cut into chunks. A rank that has ended backward takes chunk after chunk, adds it up and
/// writes the sum to every rank's arena. Chunks are taken in the order in which backward finishes
/// gradients, and only those that every rank has finished: so a rank that is early does what can be done
/// already, and little is left when the last one comes.
final class HostReduction: @unchecked Sendable {
  private let memory: HostMemory
  private let workers: WorkerPool
  private let arenas: [UnsafeMutablePointer<Float>]
  private let count: Int
  private let chunks: Int
  /// Sums that were begun, the one under way included.
  private var rounds: UInt64 = 0
  private let isPoisoned = Atomic<Bool>(false)
  /// Chunks of this round that may be taken.
  private var limit = 0
  /// Made once, so that `sum` allocates nothing.
  private var takeChunks: (Int, Int) -> Void = { _, _ in }

  /// Gradients that each rank, and this one, has finished in all rounds. Rounds follow one another without
  /// a gap, so these numbers, like those of chunks, only ever grow.
  private let finishedByRank: [HostCount]
  private let ownFinished: HostCount
  /// For all: chunks that were taken, and that are added up.
  private let taken: HostCount
  private let done: HostCount

  /// Gradients of a chunk.
  static let chunk = 1 << 16

  /// - Parameters:
  ///   - memory: its parts are the arenas; its counts serve this reduction alone.
  ///   - count: length of an arena.
  init(_ memory: HostMemory, rank: Int, count: Int, workers: WorkerPool) {
    precondition(
      memory.parts.count < 1 << RFM_SUM_LEVELS, "\(memory.parts.count) ranks on one host")
    self.memory = memory
    self.workers = workers
    self.count = count
    chunks = (count + Self.chunk - 1) / Self.chunk
    arenas = memory.parts.map { $0.assumingMemoryBound(to: Float.self) }
    finishedByRank = arenas.indices.map { memory.count(0, of: $0) }
    ownFinished = finishedByRank[rank]
    taken = memory.count(1, of: 0)
    done = memory.count(2, of: 0)
    takeChunks = { [unowned self] _, _ in
      let first = (rounds - 1) * UInt64(chunks)
      while let number = taken.claim(below: first + UInt64(limit)) {
        add(Int(number - first))
        done.raise()
      }
    }
  }

  func begin() {
    rounds += 1
    isPoisoned.store(false, ordering: .relaxed)
  }

  /// Lets others add up the gradients before `offset`.
  func markReady(upTo offset: Int) {
    ownFinished.store((rounds - 1) * UInt64(count) + UInt64(offset))
  }

  /// Turns all arenas into their sums. Collective.
  ///
  /// - Returns: whether the sums that this rank has made are finite.
  func sum() -> Bool {
    markReady(upTo: count)
    memory.together("a sum in shared memory") {
      // Only this thread waits for the others: a worker that did would keep its core from theirs.
      limit = 0
      while limit < chunks {
        let next = min(count, (limit + 1) * Self.chunk)
        for other in finishedByRank { other.wait(for: (rounds - 1) * UInt64(count) + UInt64(next)) }
        limit = finishedChunks
        workers.run(workers.count, takeChunks)
      }
      done.wait(for: rounds * UInt64(chunks))
    }
    return !isPoisoned.load(ordering: .relaxed)
  }

  /// Chunks of this round that every rank has finished.
  private var finishedChunks: Int {
    let first = (rounds - 1) * UInt64(count)
    var offset = count
    for other in finishedByRank { offset = min(offset, Int(other.value - first)) }
    return offset == count ? chunks : offset / Self.chunk
  }

  private func add(_ chunk: Int) {
    let start = chunk * Self.chunk
    let length = min(count - start, Self.chunk)
    let isFinite = arenas.withUnsafeBufferPointer {
      rfm_gradients_share($0.baseAddress!, arenas.count, start, length, arenas.count)
    }
    if isFinite == 0 { isPoisoned.store(true, ordering: .relaxed) }
  }
}
