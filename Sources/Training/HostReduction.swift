import CKernels
import MessagePassing
import Synchronization
import Tensors

/// Sums an arena over the ranks of one host, in memory that they share.
///
/// The arena is cut into chunks. Who has ended backward takes chunk after chunk, adds it up and writes
/// the sum to every rank's arena. Chunks are taken in the order in which backward finishes gradients,
/// so a rank that is early adds up what the others have finished already, and little is left to do when
/// the last one comes.
final class HostReduction: @unchecked Sendable {
  private let memory: HostMemory
  private let workers: WorkerPool
  private let arenas: [UnsafeMutablePointer<Float>]
  private let count: Int
  private let chunks: Int
  /// Sums that were begun, the one under way included.
  private var rounds: UInt64 = 0
  private let isPoisoned = Atomic<Bool>(false)
  /// Made once, so that `sum` allocates nothing.
  private var takeChunks: (Int, Int) -> Void = { _, _ in }

  /// For every rank: gradients that it has finished, in all rounds. Rounds follow one another without a
  /// gap, so these numbers, like those of chunks, only ever grow.
  private let finished: [HostCount]
  private let own: HostCount
  /// For all: chunks that were taken, and that are added up.
  private let taken: HostCount
  private let done: HostCount

  /// Gradients of a chunk.
  private static let chunk = 1 << 16

  /// - Parameters:
  ///   - memory: its parts are the arenas; its counts serve this reduction alone.
  ///   - count: length of an arena.
  init(_ memory: HostMemory, rank: Int, count: Int, workers: WorkerPool) {
    self.memory = memory
    self.workers = workers
    self.count = count
    chunks = (count + Self.chunk - 1) / Self.chunk
    arenas = memory.parts.map { $0.assumingMemoryBound(to: Float.self) }
    finished = arenas.indices.map { memory.count(0, of: $0) }
    own = finished[rank]
    taken = memory.count(1, of: 0)
    done = memory.count(2, of: 0)
    takeChunks = { [unowned self] _, _ in
      let first = (rounds - 1) * UInt64(chunks)
      while let number = taken.claim(below: first + UInt64(chunks)) {
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
  func markReady(upTo offset: Int) { own.store((rounds - 1) * UInt64(count) + UInt64(offset)) }

  /// Turns all arenas into their sums. Collective.
  ///
  /// - Returns: whether the sums that this rank has made are finite.
  func sum() -> Bool {
    markReady(upTo: count)
    memory.together("a sum in shared memory") {
      workers.run(workers.count, takeChunks)
      done.wait(for: rounds * UInt64(chunks))
    }
    return !isPoisoned.load(ordering: .relaxed)
  }

  private func add(_ chunk: Int) {
    let start = chunk * Self.chunk
    let end = min(count, start + Self.chunk)
    for other in finished { other.wait(for: (rounds - 1) * UInt64(count) + UInt64(end)) }
    let isFinite = arenas.withUnsafeBufferPointer {
      rfm_gradients_share($0.baseAddress!, arenas.count, start, end - start)
    }
    if isFinite == 0 { isPoisoned.store(true, ordering: .relaxed) }
  }
}
