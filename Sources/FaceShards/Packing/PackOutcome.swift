/// What a rank has done, as it travels between ranks: fields that end with a zero byte.
struct PackOutcome {
  /// Places in the plan's items, and why they could not be decoded.
  var skipped: [(item: Int, reason: String)] = []
  /// Shards that are complete, in order, and their images of each method.
  var counts: [(shard: Int, counts: [Int])] = []

  init() {}

  mutating func merge(_ other: PackOutcome) {
    skipped += other.skipped
    counts = (counts + other.counts).sorted { $0.shard < $1.shard }
  }

  var encoded: [UInt8] {
    var bytes: [UInt8] = []
    func put(_ text: String) {
      bytes += text.utf8.filter { $0 != 0 }
      bytes.append(0)
    }
    put("\(skipped.count)")
    for (item, reason) in skipped {
      put("\(item)")
      put(reason)
    }
    put("\(counts.count)")
    for (shard, counts) in counts {
      put("\(shard)")
      put(counts.map(String.init).joined(separator: ","))
    }
    return bytes
  }

  init(decoding bytes: [UInt8]) {
    var rest = bytes[...]
    func field() -> String {
      let end = rest.firstIndex(of: 0)!
      defer { rest = rest[(end + 1)...] }
      return String(decoding: rest[..<end], as: UTF8.self)
    }
    skipped = (0..<Int(field())!).map { _ in
      let item = Int(field())!
      return (item, field())
    }
    counts = (0..<Int(field())!).map { _ in
      let shard = Int(field())!
      return (shard, field().split(separator: ",").map { Int($0)! })
    }
  }
}
