// Summing gradients over ranks while the backward pass goes on.
//
// Backward finishes the gradients of the last layer first and those of the first layer last. They lie
// in one arena in that order, so at any moment what is finished is a prefix of the arena. The arena
// is cut into buckets. As soon as the prefix covers a bucket, a thread of its own reduces it over the
// ranks, in place, while the workers compute the next ones.
//
// Why buckets, and not one reduction per tensor or one in all: every reduction has a latency that
// does not depend on its size, so hundreds of small ones would cost more than the data; a single
// one could not begin before the end. Why the last buckets are smaller: when backward ends, only
// what is left of the last bucket is exposed, and the step has to wait for it.
//
// What is guaranteed:
//  - Buckets depend on the arena's length and the setting alone, and are reduced one after the other
//    in arena order. So every rank calls the same collectives in the same order, whatever their
//    speeds, and the same ranks give the same bits in every run.
//  - After `finish()` every rank has the same bits.
//  - Nothing is allocated in a step by this code.
//  - The thread sleeps while there is nothing to reduce, and briefly between looks at a reduction
//    that is under way: the cores belong to the workers. Once backward has ended it looks without
//    rest for a moment first.
//
// With `compression: bfloat16` what travels is rounded to bfloat16, which halves the traffic. Every
// rank hands each other rank its share of a bucket, adds up in float32 the shares it gets (in rank
// order), and hands the rounded sum to all. A value is rounded twice, however many ranks there are:
// the error of a sum is at most 2⁻⁸ (Σᵣ |gᵣ| + |Σᵣ gᵣ|), up to float32 rounding. (A reduction by MPI
// in bfloat16 would round at every addition, so its error would grow with the ranks.)

import CKernels
import Glibc
import MessagePassing
import Synchronization

/// Sums an arena of gradients over ranks, bucket by bucket, on a thread of its own.
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

  private let worker: ReductionWorker?
  private let count: Int
  private var isUnderWay = false
  private var watch = Stopwatch()
  /// Buckets that are ready.
  private var readyBuckets = 0

  /// Starts the thread. Collective over the communicator, which is duplicated.
  ///
  /// - Parameters:
  ///   - arena: the gradients; must stay where they are as long as the reducer lives.
  ///   - bucketBytes: size of a bucket.
  /// - Throws: `MPIError`.
  public init(
    communicator: Communicator, arena: UnsafeMutableBufferPointer<Float>, bucketBytes: Int,
    compression: Configuration.Communication.Compression = .none
  ) throws(MPIError) {
    buckets = Self.buckets(count: arena.count, bucketBytes: bucketBytes)
    readiness = Array(repeating: 0, count: buckets.count)
    count = arena.count
    worker =
      communicator.size == 1
      ? nil
      : ReductionWorker(
        communicator: try communicator.duplicate(), arena: arena, buckets: buckets,
        compression: compression)
  }

  deinit { worker?.stop() }

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
    watch = Stopwatch()
    readyBuckets = 0
    worker?.begin()
  }

  /// Says that the gradients before `offset` are finished. Never waits for a reduction. What has
  /// been marked belongs to the reducer until ``finish()``.
  public func markReady(upTo offset: Int) {
    precondition(isUnderWay, "begin() was expected before markReady(upTo:)")
    worker?.markReady(upTo: offset)
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
    guard let worker else { return }
    timing = try worker.finish()
  }
}

/// The thread, and what it shares with the one that drives the step.
private final class ReductionWorker: @unchecked Sendable {
  private let communicator: Communicator
  private let arena: UnsafeMutableBufferPointer<Float>
  private let buckets: [Range<Int>]
  private let compression: CompressionBuffers?

  // Guarded by `mutex`.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let changed: UnsafeMutablePointer<pthread_cond_t>
  private var ready = 0
  /// The bucket that is reduced next; as many as there are when the step is done.
  private var next: Int
  private var mayStop = false
  private var reducing = 0.0
  private var failure: MPIError?

  /// Backward has ended: nobody needs the core more than the reduction.
  private let isHurried = Atomic<Bool>(false)
  private var thread = pthread_t()

  init(
    communicator: Communicator, arena: UnsafeMutableBufferPointer<Float>, buckets: [Range<Int>],
    compression: Configuration.Communication.Compression
  ) {
    self.communicator = communicator
    self.arena = arena
    self.buckets = buckets
    self.compression =
      compression == .none
      ? nil
      : CompressionBuffers(
        ranks: communicator.size, longest: buckets.map(\.count).max() ?? 0)
    next = buckets.count
    mutex = .allocate(capacity: 1)
    changed = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
    let created = pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<ReductionWorker>.fromOpaque(argument!).takeUnretainedValue().run()
        return nil
      }, Unmanaged.passUnretained(self).toOpaque())
    precondition(
      created == 0, "the system refuses another thread: \(String(cString: strerror(created)))")
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  /// Ends the thread, after the reduction that it is at.
  func stop() {
    pthread_mutex_lock(mutex)
    mayStop = true
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
    pthread_join(thread, nil)
  }

  func begin() {
    pthread_mutex_lock(mutex)
    ready = 0
    next = 0
    reducing = 0
    failure = nil
    isHurried.store(false, ordering: .relaxed)
    pthread_mutex_unlock(mutex)
  }

  func markReady(upTo offset: Int) {
    pthread_mutex_lock(mutex)
    precondition(
      offset >= ready && offset <= arena.count,
      "an offset from \(ready) to \(arena.count) was expected, got \(offset)")
    ready = offset
    if hasWork { pthread_cond_broadcast(changed) }
    pthread_mutex_unlock(mutex)
  }

  func finish() throws(MPIError) -> GradientReducer.Timing {
    isHurried.store(true, ordering: .relaxed)
    markReady(upTo: arena.count)
    let start = ContinuousClock.now
    pthread_mutex_lock(mutex)
    while next < buckets.count, failure == nil { pthread_cond_wait(changed, mutex) }
    let error = failure
    let timing = GradientReducer.Timing(
      exposed: (ContinuousClock.now - start).seconds, reducing: reducing)
    pthread_mutex_unlock(mutex)
    if let error { throw error }
    return timing
  }

  /// Whether the next bucket can be reduced. Call with the mutex held.
  private var hasWork: Bool {
    next < buckets.count && failure == nil && ready >= buckets[next].upperBound
  }

  private func run() {
    pthread_mutex_lock(mutex)
    while true {
      while !mayStop, !hasWork { pthread_cond_wait(changed, mutex) }
      if mayStop { break }
      let bucket = buckets[next]
      pthread_mutex_unlock(mutex)
      let start = ContinuousClock.now
      var error: MPIError?
      do throws(MPIError) {
        try reduce(UnsafeMutableBufferPointer(rebasing: arena[bucket]))
      } catch let thrown {
        error = thrown
      }
      let seconds = (ContinuousClock.now - start).seconds
      pthread_mutex_lock(mutex)
      reducing += seconds
      failure = error
      next += 1
      if failure != nil || next == buckets.count { pthread_cond_broadcast(changed) }
    }
    pthread_mutex_unlock(mutex)
  }

  private func reduce(_ bucket: UnsafeMutableBufferPointer<Float>) throws(MPIError) {
    guard let compression else {
      var request = try communicator.startAllReduce(bucket, .sum)
      return try complete(&request)
    }
    // Equal shares, the last one filled up with zeros.
    let ranks = communicator.size
    let share = (bucket.count + ranks - 1) / ranks
    let count = share * ranks
    rfm_gradients_pack(bucket.baseAddress, compression.outgoing.baseAddress, bucket.count)
    for index in bucket.count..<count { compression.outgoing[index] = 0 }
    var exchange = try communicator.startAllToAll(
      compression.bytes(of: compression.outgoing, count: count),
      into: compression.mutableBytes(of: compression.incoming, count: count))
    try complete(&exchange)
    rfm_gradients_sum(
      compression.incoming.baseAddress, ranks, share, compression.sum.baseAddress, share)
    var collection = try communicator.startAllGather(
      compression.bytes(of: compression.sum, count: share),
      into: compression.mutableBytes(of: compression.incoming, count: count))
    try complete(&collection)
    rfm_gradients_unpack(compression.incoming.baseAddress, bucket.baseAddress, bucket.count)
  }

  /// Waits for a reduction. MPI moves data only when it is asked, and would spin if it were asked
  /// to wait; so look now and then. Every look takes a core from its worker, and reductions are
  /// under way most of backward, so looks are far apart there. Once the workers are done, look
  /// without rest, but not for long: where ranks share cores, the one that is waited for needs them.
  private func complete(_ request: inout Request) throws(MPIError) {
    var looks = 0
    while try !request.test() {
      if !isHurried.load(ordering: .relaxed) {
        usleep(1000)
      } else if looks < 200 {
        looks += 1
      } else {
        usleep(50)
      }
    }
  }
}

/// Room for a bucket on its way.
private final class CompressionBuffers {
  let outgoing: UnsafeMutableBufferPointer<UInt16>
  let incoming: UnsafeMutableBufferPointer<UInt16>
  let sum: UnsafeMutableBufferPointer<UInt16>

  init(ranks: Int, longest: Int) {
    let share = (longest + ranks - 1) / ranks
    outgoing = .allocate(capacity: share * ranks)
    incoming = .allocate(capacity: share * ranks)
    sum = .allocate(capacity: share)
    for buffer in [outgoing, incoming, sum] { buffer.initialize(repeating: 0) }
  }

  deinit { for buffer in [outgoing, incoming, sum] { buffer.deallocate() } }

  func bytes(
    of buffer: UnsafeMutableBufferPointer<UInt16>, count: Int
  ) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(mutableBytes(of: buffer, count: count))
  }

  func mutableBytes(
    of buffer: UnsafeMutableBufferPointer<UInt16>, count: Int
  ) -> UnsafeMutableBufferPointer<UInt8> {
    UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<(2 * count)])
      .assumingMemoryBound(to: UInt8.self)
  }
}

extension Duration {
  /// The duration in seconds.
  var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
