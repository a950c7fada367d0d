import Glibc
import MessagePassing
import Tensors
import Training

extension Checks {
  func hostMemories() throws {
    for bytes in [1, 4096, 100_000] { try everyRankSeesWhatTheOthersWrote(bytes: bytes) }
    try aRankThatGetsNoMemoryLeavesAllWithoutSharing()
    // One chunk that is not full, full ones, and full ones before one that is not.
    for count in [5, 1000, 50_021, 1 << 18, 200_003] {
      for threads in [1, 3] {
        try sumsInMemory(count, threads: threads)
        try roundsFollowOneAnother(count, threads: threads)
      }
    }
    try oneRankSeesTheSumThatIsNotFinite()
  }

  private func shared(bytes: Int) throws -> HostMemory {
    try expect(world.nodeSize == world.size, "these checks run on one host")
    let memory = try world.shareMemory(bytes: bytes)
    try expect(memory != nil, "ranks of one host share memory")
    return memory!
  }

  private func everyRankSeesWhatTheOthersWrote(bytes: Int) throws {
    let memory = try shared(bytes: bytes)
    let parts = memory.parts.map {
      UnsafeMutableBufferPointer(start: $0.assumingMemoryBound(to: UInt8.self), count: bytes)
    }
    try expect(memory.size == bytes && parts.count == world.size, "a part of each rank")
    try expect(memory.parts.allSatisfy { UInt(bitPattern: $0) % 4096 == 0 }, "aligned parts")
    try expect(parts.allSatisfy { $0.allSatisfy { $0 == 0 } }, "memory begins with zeros")
    try world.barrier()
    for round in 1...20 {
      // Ranks are late in turn, and each writes into the part of the next one.
      if round % world.size == world.rank { usleep(500) }
      let target = parts[(world.rank + 1) % world.size]
      for index in target.indices {
        target[index] = UInt8(truncatingIfNeeded: world.rank + 7 * round + index)
      }
      try world.barrier()
      for (rank, part) in parts.enumerated() {
        let writer = (rank + world.size - 1) % world.size
        let isThere = part.indices.allSatisfy {
          part[$0] == UInt8(truncatingIfNeeded: writer + 7 * round + $0)
        }
        try expect(isThere, "what rank \(writer) wrote in round \(round)")
      }
      try world.barrier()
    }
  }

  private func aRankThatGetsNoMemoryLeavesAllWithoutSharing() throws {
    for poor in 0..<world.size {
      var before = rlimit()
      getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &before)
      // Memory that others can map counts as a file; what is too long for one is refused.
      let handler = signal(SIGXFSZ, SIG_IGN)
      if world.rank == poor {
        var limit = rlimit(rlim_cur: 1 << 16, rlim_max: before.rlim_max)
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
      }
      let memory = try world.shareMemory(bytes: 1 << 20)
      setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &before)
      signal(SIGXFSZ, handler)
      try expect(memory == nil, "no rank shares memory if rank \(poor) has none")
    }
  }

  /// Sums in memory have the bits of sums by messages.
  private func sumsInMemory(_ count: Int, threads: Int) throws {
    let memory = try shared(bytes: count * MemoryLayout<Float>.stride)
    let arena = UnsafeMutableBufferPointer(
      start: memory.parts[world.rank].assumingMemoryBound(to: Float.self), count: count)
    let copy = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    copy.initialize(repeating: 0)
    defer { copy.deallocate() }
    let inMemory = GradientReducer(
      communicator: world, memory: memory, count: count, bucketBytes: 1 << 16,
      workers: WorkerPool(threads: threads))
    let byMessages = try GradientReducer(
      communicator: world, arena: copy, bucketBytes: 1 << 16)
    try expect(inMemory.buckets == byMessages.buckets, "the same buckets")
    try expect(
      inMemory.means == .memory && byMessages.means == (world.size > 1 ? .messages : .alone),
      "a reducer tells how it sums")
    for step in 0..<3 {
      for index in 0..<count {
        // No two orders of adding these up agree in every bit.
        let mixed = (world.rank * 7919 + step * 104_729 + index * 31) % 2003 - 1001
        arena[index] = Float(mixed) * 0.001 * Float(1 + index % 97)
        copy[index] = arena[index]
      }
      inMemory.begin()
      // The others add up what a rank that is late has marked, while it goes on.
      for part in 1...4 {
        if step % world.size == world.rank { usleep(1000) }
        inMemory.markReady(upTo: count * part / 4)
      }
      try inMemory.finish()
      let sums = Array(arena)
      byMessages.begin()
      try byMessages.finish()
      let isSame = sums.indices.allSatisfy { sums[$0].bitPattern == copy[$0].bitPattern }
      try expect(
        isSame, "\(count) gradients in memory and by messages, \(threads) threads, step \(step)")
      try expect(inMemory.shareIsFinite == true, "finite sums are")
    }
  }

  /// With nothing between two rounds that would keep the ranks together.
  private func roundsFollowOneAnother(_ count: Int, threads: Int) throws {
    let memory = try shared(bytes: count * MemoryLayout<Float>.stride)
    let arena = memory.parts[world.rank].assumingMemoryBound(to: Float.self)
    let reducer = GradientReducer(
      communicator: world, memory: memory, count: count, bucketBytes: 1 << 16,
      workers: WorkerPool(threads: threads))
    var wrong = 0
    for round in 1...30 {
      // Ranks are late, and late to look, in turn.
      if round % world.size == world.rank { usleep(300) }
      reducer.begin()
      for index in 0..<count { arena[index] = Float(round + world.rank + index % 5) }
      reducer.markReady(upTo: count / 2)
      try reducer.finish()
      if round / 2 % world.size == world.rank { usleep(300) }
      let ranks = Float(world.size * (world.size - 1) / 2)
      for index in 0..<count {
        if arena[index] != Float(world.size * (round + index % 5)) + ranks { wrong += 1 }
      }
    }
    try expect(wrong == 0, "\(wrong) sums of rounds that follow one another, \(threads) threads")
  }

  private func oneRankSeesTheSumThatIsNotFinite() throws {
    let count = 1000
    let memory = try shared(bytes: count * MemoryLayout<Float>.stride)
    let arena = memory.parts[world.rank].assumingMemoryBound(to: Float.self)
    let reducer = GradientReducer(
      communicator: world, memory: memory, count: count, bucketBytes: 4096,
      workers: WorkerPool(threads: 2))
    for (place, value) in [(0, Float.infinity), (count - 1, .nan), (count / 2, -.infinity)] {
      arena.update(repeating: 1, count: count)
      if world.rank == world.size - 1 { arena[place] = value }
      reducer.begin()
      try reducer.finish()
      let seen = try world.allReduce(reducer.shareIsFinite == false ? 1 : 0, .sum)
      try expect(seen == 1, "one rank sees \(value) at \(place)")
      try expect(!arena[place].isFinite && arena[1] == Float(world.size), "all have the sums")
      try world.barrier()
    }
  }
}
