// Summing gradients over ranks.
//
// Backward finishes the gradients of the last layer first and those of the first layer last. They lie
// in one arena in that order, so at any moment what is finished is a prefix of the arena.
//
// Between hosts the arena travels in buckets. As soon as the prefix covers one, a thread of its own
// reduces it over the ranks, in place, while the workers compute the next ones (`BucketReduction`).
//
// Why buckets, and not one reduction per tensor or one in all: every reduction has a latency that
// does not depend on its size, so hundreds of small ones would cost more than the data; a single
// one could not begin before the end. Why the last buckets are smaller: when backward ends, only
// what is left of the last bucket is exposed, and the step has to wait for it.
//
// Where all ranks are on one host, nothing has to travel and there is no wait to hide: messages would
// be copies by the same cores that compute, and the thread that asks for them takes a core from its
// worker. There the arenas are in memory that the ranks share, and whoever has ended backward adds up
// chunk after chunk for all (`HostReduction`).
//
// Where several hosts have several ranks, both are joined: the ranks of a host add up a bucket in their
// memory, each its share, and one rank a host exchanges the sum with the others (`HostBuckets`). A host's
// link then carries what a single rank would send and receive, whatever the number of its ranks.
//
// What is guaranteed:
//  - Buckets depend on the arena's length and the setting alone, and are reduced one after the other
//    in arena order. So every rank calls the same collectives in the same order, whatever their
//    speeds, and the same ranks give the same bits in every run.
//  - Sums in memory and by messages add in the same order, unless Open MPI is told to use another
//    algorithm. Joined, they add within hosts first: the same order too where each host has the next 1, 2,
//    4, 8 … ranks, as many as the others, and the hosts are a power of two; else the last bits depend on
//    how ranks are spread over hosts.
//  - After `finish()` every rank has the same bits.
//  - Nothing is allocated in a step by this code.
//  - Whoever waits sleeps: the thread while there is nothing to reduce, and between looks at a
//    reduction that is under way. The cores belong to the workers.
//
// With `compression: bfloat16` what travels is rounded to bfloat16, which halves the traffic. Every
// rank hands each other rank its share of a bucket, adds up in float32 the shares it gets (in rank
// order), and hands the rounded sum to all. A value is rounded twice, however many ranks there are:
// the error of a sum is at most 2⁻⁸ (Σᵣ |gᵣ| + |Σᵣ gᵣ|), up to float32 rounding. (A reduction by MPI
// in bfloat16 would round at every addition, so its error would grow with the ranks.) It is always by
// messages.

import Configuration
import Foundations
import MessagePassing
import Tensors

/// Sums an arena of gradients over ranks: while backward goes on, or after it within a host.
///
///     reducer.begin()
///     // … backward: reducer.markReady(upTo: offset) whenever a prefix of the arena is finished …
///     try reducer.finish()        // now the arena holds the sums of all ranks
///
/// `begin`, `markReady` and `finish` are called by one thread at a time. With a single rank they do
/// nothing.
public final class GradientReducer {
  /// The buckets, in the order in which they are reduced.
  public let buckets: [Range<Int>]
  /// What the last ``finish()`` saw.
  public private(set) var timing = Timing()
  /// When each bucket was ready in the last step, in seconds from ``begin()``.
  public private(set) var readiness: [Double]

  /// Seconds of one step's reductions.
  public struct Timing: Sendable, Equatable {
    /// What ``GradientReducer/finish()`` had to wait: the part that computation did not hide.
    public var exposed = 0.0
    /// From the start to the end of every bucket's reduction, summed.
    public var reducing = 0.0
  }

  /// Whether the last ``finish()`` saw only finite sums in what this rank added up itself; nil where
  /// nobody has looked at them.
  public private(set) var shareIsFinite: Bool?

  /// How gradients are summed.
  public enum Means: String, Sendable {
    /// There is one rank.
    case alone
    case messages
    /// In memory that the ranks share.
    case memory
    /// In memory within hosts, by messages between them.
    case hierarchical
  }

  public var means: Means {
    switch path {
    case .alone: .alone
    case .messages(let reduction): reduction.isHierarchical ? .hierarchical : .messages
    case .memory: .memory
    }
  }

  /// Bytes of other ranks' arenas that count as memory of this process too.
  public let foreignBytes: Int

  private enum Path {
    case alone
    case messages(BucketReduction)
    case memory(HostReduction)
  }

  private let path: Path
  private let count: Int
  private var isUnderWay = false
  /// Gradients before this one are finished.
  private var marked = 0
  private var watch = Stopwatch()
  /// Buckets that are ready.
  private var readyBuckets = 0

  /// By messages, or where there is a group by messages between hosts alone. Starts the thread. Collective
  /// over the communicator, which is duplicated.
  ///
  /// - Parameters:
  ///   - arena: the gradients; must stay where they are as long as the reducer lives. With a group this
  ///     rank's part of its memory.
  ///   - bucketBytes: size of a bucket.
  ///   - group: this rank's host; all ranks have one, or none.
  /// - Throws: `MPIError`.
  public init(
    communicator: Communicator, arena: UnsafeMutableBufferPointer<Float>, bucketBytes: Int,
    compression: Configuration.Communication.Compression = .none, group: HostGroup? = nil
  ) throws(MPIError) {
    if let group {
      precondition(
        group.memory.size >= arena.count * MemoryLayout<Float>.stride
          && UnsafeMutableRawPointer(arena.baseAddress) == group.memory.parts[group.rank],
        "an arena in the memory of its host was expected")
    }
    buckets = Self.buckets(count: arena.count, bucketBytes: bucketBytes)
    readiness = Array(repeating: 0, count: buckets.count)
    count = arena.count
    foreignBytes = group.map { ($0.memory.parts.count - 1) * $0.memory.size } ?? 0
    path =
      communicator.size == 1
      ? .alone
      : .messages(
        BucketReduction(
          communicator: try communicator.duplicate(), arena: arena, buckets: buckets,
          compression: compression, group: group))
  }

  /// In memory that the ranks of the communicator share.
  ///
  /// - Parameters:
  ///   - memory: its parts are the ranks' arenas.
  ///   - count: length of an arena.
  ///   - bucketBytes: size of a bucket, of which only ``readiness`` tells then.
  ///   - workers: who adds up, in ``finish()``.
  public init(
    communicator: Communicator, memory: HostMemory, count: Int, bucketBytes: Int,
    workers: WorkerPool
  ) {
    precondition(
      memory.size >= count * MemoryLayout<Float>.stride && memory.parts.count == communicator.size,
      "memory for \(count) gradients of \(communicator.size) ranks was expected")
    buckets = Self.buckets(count: count, bucketBytes: bucketBytes)
    readiness = Array(repeating: 0, count: buckets.count)
    self.count = count
    foreignBytes = (memory.parts.count - 1) * memory.size
    path = .memory(HostReduction(memory, rank: communicator.rank, count: count, workers: workers))
  }

  deinit {
    if case .messages(let reduction) = path { reduction.stop() }
  }

  /// Cuts 0..<count so that buckets begin at whole cache lines, have at most `bucketBytes`, and the
  /// last three (an eighth, a quarter and a half of that) grow smaller towards the end.
  static func buckets(count: Int, bucketBytes: Int) -> [Range<Int>] {
    precondition(bucketBytes > 0, "a bucket size above 0 was expected, got \(bucketBytes)")
    let line = 16
    let full = Swift.max(line, bucketBytes / MemoryLayout<Float>.stride / line * line)
    var buckets: [Range<Int>] = []
    var end = count
    var share = 8
    while end > 0 {
      let size = Swift.max(line, full / share)
      let start = Swift.max(0, (end - size + line - 1) / line * line)
      buckets.append(Swift.min(start, end - 1)..<end)
      end = buckets.last!.lowerBound
      share = Swift.max(1, share / 2)
    }
    return buckets.reversed()
  }

  /// Begins a step: nothing in the arena is finished yet.
  public func begin() {
    precondition(!isUnderWay, "finish() was expected before the next begin()")
    isUnderWay = true
    marked = 0
    watch = Stopwatch()
    readyBuckets = 0
    switch path {
    case .alone: break
    case .messages(let reduction): reduction.begin()
    case .memory(let reduction): reduction.begin()
    }
  }

  /// Says that the gradients before `offset` are finished. Never waits for a reduction. What has
  /// been marked belongs to the reducer until ``finish()``.
  public func markReady(upTo offset: Int) {
    precondition(isUnderWay, "begin() was expected before markReady(upTo:)")
    precondition(
      offset >= marked && offset <= count,
      "an offset from \(marked) to \(count) was expected, got \(offset)")
    marked = offset
    switch path {
    case .alone: break
    case .messages(let reduction): reduction.markReady(upTo: offset)
    case .memory(let reduction): reduction.markReady(upTo: offset)
    }
    noteReady(upTo: offset)
  }

  private func noteReady(upTo offset: Int) {
    guard readyBuckets < buckets.count, buckets[readyBuckets].upperBound <= offset else { return }
    let seconds = watch.seconds
    while readyBuckets < buckets.count, buckets[readyBuckets].upperBound <= offset {
      readiness[readyBuckets] = seconds
      readyBuckets += 1
    }
  }

  /// Marks everything as finished and waits until all buckets are reduced.
  /// - Throws: the first `MPIError` of this step. The arena then holds no usable gradients, and
  ///   the ranks may no longer agree: the job has to end.
  public func finish() throws(MPIError) {
    precondition(isUnderWay, "begin() was expected before finish()")
    isUnderWay = false
    noteReady(upTo: count)
    switch path {
    case .alone: break
    case .messages(let reduction): timing = try reduction.finish()
    case .memory(let reduction):
      let watch = Stopwatch()
      shareIsFinite = reduction.sum()
      timing = Timing(exposed: watch.seconds, reducing: watch.seconds)
    }
  }
}
