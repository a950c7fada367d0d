import Glibc
import MessagePassing

extension Checks {
  /// Bytes of rank 0 are everybody's: in memory that all see, or where that is refused as copies.
  func sharedBytes() throws {
    try expect(world.nodeSize == world.size, "these checks run on one host")
    for count in [0, 1, 4095, 4096, 3_000_001] {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ $0 >> 9) }
      // Nothing but rank 0's is looked at.
      let shared = try world.shareBytes(world.isRoot ? bytes : [1, 2, 3])
      try expect(shared.bytes.elementsEqual(bytes), "\(count) bytes of rank 0")
    }
    var before = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
    getrlimit(resource, &before)
    let handler = signal(SIGXFSZ, SIG_IGN)
    // Memory that others can map counts as a file; what is too long for one is refused.
    if world.isRoot {
      var limit = rlimit(rlim_cur: 1 << 16, rlim_max: before.rlim_max)
      setrlimit(resource, &limit)
    }
    let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 11) }
    let copied = try world.shareBytes(world.isRoot ? bytes : [])
    setrlimit(resource, &before)
    signal(SIGXFSZ, handler)
    try expect(copied.bytes.elementsEqual(bytes), "bytes for which there is no shared memory")
  }
}
