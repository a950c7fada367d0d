import CKernels
import Configuration
import Glibc
import MessagePassing
import Synchronization

/// Sums an arena over ranks while backward goes on: a thread that reduces bucket after bucket as they get
/// ready, and what it shares with the one that drives the step.
///
/// Without a host's group every rank exchanges messages with every other. With one, the ranks of a host add
/// up in their memory (`HostBuckets`), and the first of each exchanges the sums with those of other hosts.
final class BucketReduction: @unchecked Sendable {
  private let communicator: Communicator
  /// Those who exchange messages, if this rank is one of them.
  private let senders: Communicator?
  private let host: HostBuckets?
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
    compression: Configuration.Communication.Compression, group: HostGroup?
  ) {
    self.communicator = communicator
    self.arena = arena
    self.buckets = buckets
    host = group.map { HostBuckets($0, buckets: buckets, count: arena.count) }
    senders = group == nil ? communicator : group!.leaders
    self.compression =
      compression == .none
      ? nil
      : senders.map {
        CompressionBuffers(ranks: $0.size, longest: buckets.map(\.count).max() ?? 0)
      }
    next = buckets.count
    mutex = .allocate(capacity: 1)
    changed = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
    let created = pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<BucketReduction>.fromOpaque(argument!).takeUnretainedValue().run()
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
    host?.begin()
    isHurried.store(false, ordering: .relaxed)
    pthread_mutex_unlock(mutex)
  }

  var isHierarchical: Bool { host != nil }

  func markReady(upTo offset: Int) {
    host?.markReady(upTo: offset)
    pthread_mutex_lock(mutex)
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
    // As the workers do, so that a sum does not depend on who made it.
    _ = rfm_flush_denormals()
    pthread_mutex_lock(mutex)
    while true {
      while !mayStop, !hasWork { pthread_cond_wait(changed, mutex) }
      if mayStop { break }
      let bucket = next
      pthread_mutex_unlock(mutex)
      let start = ContinuousClock.now
      var error: MPIError?
      do throws(MPIError) {
        try reduce(bucket)
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

  private func reduce(_ number: Int) throws(MPIError) {
    let bucket = UnsafeMutableBufferPointer(rebasing: arena[buckets[number]])
    guard let host else { return try exchange(bucket, over: communicator) }
    // On every rank one collective, whoever has messages to exchange.
    communicator.arrive(at: "a sum over hosts")
    defer { communicator.leave() }
    var pauses = Pauses(eager: 200, longest: 200)
    while !host.isAdded(number) { pause(&pauses) }
    pauses = Pauses(eager: 200, longest: 200)
    if let senders {
      try exchange(bucket, over: senders)
      host.publish(number)
      // Backward of the next step writes where the others read.
      while number == buckets.count - 1, !host.isCopied(number) { pause(&pauses) }
    } else {
      while !host.isPublished(number) { pause(&pauses) }
      host.copy(number)
    }
  }

  /// Turns a bucket into its sum over the ranks of a communicator.
  private func exchange(
    _ bucket: UnsafeMutableBufferPointer<Float>, over senders: Communicator
  ) throws(MPIError) {
    guard let compression else {
      var request = try senders.startAllReduce(bucket, .sum)
      return try complete(&request)
    }
    // Equal shares, the last one filled up with zeros.
    let ranks = senders.size
    let share = (bucket.count + ranks - 1) / ranks
    let count = share * ranks
    rfm_gradients_pack(bucket.baseAddress, compression.outgoing.baseAddress, bucket.count)
    for index in bucket.count..<count { compression.outgoing[index] = 0 }
    var exchange = try senders.startAllToAll(
      compression.bytes(of: compression.outgoing, count: count),
      into: compression.mutableBytes(of: compression.incoming, count: count))
    try complete(&exchange)
    rfm_gradients_sum(
      compression.incoming.baseAddress, ranks, share, compression.sum.baseAddress, share)
    var collection = try senders.startAllGather(
      compression.bytes(of: compression.sum, count: share),
      into: compression.mutableBytes(of: compression.incoming, count: count))
    try complete(&collection)
    rfm_gradients_unpack(compression.incoming.baseAddress, bucket.baseAddress, bucket.count)
  }

  private func complete(_ request: inout Request) throws(MPIError) {
    var pauses = Pauses(eager: 200, longest: 200)
    while try !request.test() { pause(&pauses) }
  }

  /// What to do until the next look at something under way. MPI moves data only when it is asked, and would
  /// spin if it were asked to wait; so look now and then. Every look takes a core from its worker, and
  /// reductions are under way most of backward, so looks are far apart there. Once the workers are done,
  /// look without rest, but not for long (``Pauses``).
  private func pause(_ pauses: inout Pauses) {
    if host?.addNext() == true { return }
    if !isHurried.load(ordering: .relaxed) {
      usleep(1000)
    } else {
      pauses.pause()
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
