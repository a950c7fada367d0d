import Configuration
import Glibc
import Training

extension Checks {
  /// The gradient that a rank has at a place in a step: numbers that bfloat16 can't hold exactly.
  private func gradient(rank: Int, step: Int, index: Int) -> Float {
    Float((rank * 7919 + step * 104_729 + index * 31) % 2003 - 1001) * 0.001
  }

  func gradientReductions() throws {
    // From no bucket at all to several, with last ones that are not full.
    for (count, sizes) in [(0, [64]), (5, [64]), (1000, [64, 4096]), (50_021, [65_536, 1 << 20])] {
      for bucketBytes in sizes {
        for compression in [Configuration.Communication.Compression.none, .bfloat16] {
          try gradients(count: count, bucketBytes: bucketBytes, compression: compression)
        }
      }
    }
    try reductionsRunBesideOtherMessages()
  }

  private func gradients(
    count: Int, bucketBytes: Int, compression: Configuration.Communication.Compression
  ) throws {
    let arena = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    defer { arena.deallocate() }
    arena.initialize(repeating: 0)
    let reducer = try GradientReducer(
      communicator: world, arena: arena, bucketBytes: bucketBytes, compression: compression)
    // Buckets within the first steps, and ranks that are late in turn.
    for step in 0..<3 {
      reducer.begin()
      if step % world.size == world.rank { usleep(2000) }
      var written = 0
      for part in [count / 3, count / 2, count / 2, count] {
        while written < part {
          arena[written] = gradient(rank: world.rank, step: step, index: written)
          written += 1
        }
        reducer.markReady(upTo: part)
      }
      try reducer.finish()

      let claim = "gradients, \(count) in buckets of \(bucketBytes), \(compression), step \(step)"
      for index in 0..<count {
        let parts = (0..<world.size).map {
          Double(gradient(rank: $0, step: step, index: index))
        }
        let sum = parts.reduce(0, +)
        var tolerance = 1e-6 * parts.reduce(0) { $0 + $1.magnitude }
        if compression == .bfloat16, world.size > 1 {
          tolerance += (parts.reduce(0) { $0 + $1.magnitude } + sum.magnitude) / 256 * 1.01
        }
        if (Double(arena[index]) - sum).magnitude > tolerance {
          try expect(false, "\(claim): the sum at \(index)")
        }
      }
      try expect(true, claim)
      var bits = arena.map { Int64($0.bitPattern) }
      var largest = bits
      try world.allReduce(&bits, .min)
      try world.allReduce(&largest, .max)
      try expect(bits == largest, "\(claim): every rank has the same bits")
    }
  }

  /// Other collectives go on in the main thread while gradients are under way.
  private func reductionsRunBesideOtherMessages() throws {
    let count = 1 << 16
    let arena = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    defer { arena.deallocate() }
    let reducer = try GradientReducer(communicator: world, arena: arena, bucketBytes: 1 << 14)
    for _ in 0..<5 {
      arena.initialize(repeating: Float(world.rank + 1))
      reducer.begin()
      for offset in stride(from: 0, through: count, by: 1 << 12) {
        reducer.markReady(upTo: offset)
        let total = try world.allReduce(Int64(world.rank), .sum)
        try expect(total == world.size * (world.size - 1) / 2, "a sum beside the gradients")
      }
      try reducer.finish()
      let sum = Float(world.size * (world.size + 1) / 2)
      try expect(arena.allSatisfy { $0 == sum }, "gradients beside other messages")
      if world.size > 1 {
        try expect(reducer.timing.reducing > 0, "the time of reductions is measured")
      }
    }
  }
}
