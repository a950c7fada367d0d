import Configuration
import Glibc
import MessagePassing
import Training

/// Sums over several hosts with several ranks, which are pretended: the ranks of one host are parted.
extension Checks {
  func hostGroups() throws {
    try expect(
      try HostGroup(world, bytes: 64) == nil, "ranks that are all on one host are no group")
    let alone = try world.split(color: world.rank, key: 0)!
    try expect(
      try HostGroup(world, bytes: 64, host: alone) == nil,
      "ranks on hosts of their own are no group")
    guard world.size > 2 else { return }
    // Ranks that follow each other, the last host with fewer where they don't come out even; and by turns.
    let layouts = (2..<world.size).map { size in (0..<world.size).map { $0 / size } }
    for layout in layouts + [(0..<world.size).map { $0 % 2 }] {
      for (count, bucketBytes) in [(5, 64), (1000, 4096), (50_021, 65_536)] {
        for compression in Configuration.Communication.Compression.allCases {
          try sums(layout, count: count, bucketBytes: bucketBytes, compression)
        }
      }
    }
  }

  /// What a rank has at a place in a step: no two orders of adding these up agree in every bit.
  private func gradient(rank: Int, step: Int, index: Int) -> Float {
    let mixed = (rank * 7919 + step * 104_729 + index * 31) % 2003 - 1001
    return Float(mixed) * 0.001 * Float(1 + index % 97)
  }

  private func sums(
    _ hosts: [Int], count: Int, bucketBytes: Int,
    _ compression: Configuration.Communication.Compression
  ) throws {
    let claim = "hosts \(hosts), \(count) gradients, \(compression)"
    let host = try world.split(color: hosts[world.rank], key: world.rank)!
    let made = try HostGroup(world, bytes: count * MemoryLayout<Float>.stride, host: host)
    guard let group = made else { throw Failure(text: "\(claim): no group") }
    let arena = UnsafeMutableBufferPointer(
      start: group.memory.parts[group.rank].assumingMemoryBound(to: Float.self), count: count)
    let reducer = try GradientReducer(
      communicator: world, arena: arena, bucketBytes: bucketBytes, compression: compression,
      group: group)
    try expect(reducer.means == .hierarchical, "\(claim): a reducer tells how it sums")
    let copy = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    defer { copy.deallocate() }
    copy.initialize(repeating: 0)
    let flat = try GradientReducer(
      communicator: world, arena: copy, bucketBytes: bucketBytes, compression: compression)

    var first: [UInt32] = []
    for step in [0, 1, 2, 0] {
      // With nothing between two rounds that would keep the ranks together; they are late in turn.
      reducer.begin()
      var written = 0
      for part in [count / 3, count / 2, count / 2, count] {
        if step % world.size == world.rank { usleep(1000) }
        while written < part {
          arena[written] = gradient(rank: world.rank, step: step, index: written)
          written += 1
        }
        reducer.markReady(upTo: part)
      }
      try reducer.finish()
      let bits = arena.map(\.bitPattern)
      let (smallest, largest) = try (extreme(bits, .min), extreme(bits, .max))
      try expect(smallest == largest, "\(claim): every rank has the same bits")
      if first.isEmpty {
        first = bits
      } else if step == 0 {
        try expect(first == bits, "\(claim): the same sums again have the same bits")
      }
      for index in 0..<count {
        let parts = (0..<world.size).map { Double(gradient(rank: $0, step: step, index: index)) }
        let (sum, size) = (parts.reduce(0, +), parts.reduce(0) { $0 + $1.magnitude })
        var tolerance = 1e-6 * size
        if compression == .bfloat16 { tolerance += (size + sum.magnitude) / 256 * 1.01 }
        if (Double(arena[index]) - sum).magnitude > tolerance {
          try expect(false, "\(claim): the sum at \(index), step \(step)")
        }
      }
      try expect(true, "\(claim): the sums of step \(step)")
      guard compression == .none, hosts == [0, 0, 1, 1] || hosts == [0, 0, 1] else { continue }
      // Hosts of as many ranks, a power of two, in order: the order of adding is the same.
      for index in 0..<count {
        copy[index] = gradient(rank: world.rank, step: step, index: index)
      }
      flat.begin()
      try flat.finish()
      try expect(
        copy.map(\.bitPattern) == bits, "\(claim): the bits of sums by messages alone")
    }
  }

  private func extreme(_ bits: [UInt32], _ operation: ReduceOperation) throws -> [Int64] {
    var values = bits.map { Int64($0) }
    try world.allReduce(&values, operation)
    return values
  }
}
