/// An error that can travel between ranks.
struct PackFailure {
  let kind: Int
  let text: String

  init(kind: Int, text: String) {
    self.kind = kind
    self.text = text
  }

  init(_ error: any Error, rank: Int?) {
    kind =
      switch error {
      case PackError.usage, is ShardOutput.InUse: 0
      case PackError.badData: 1
      case let error as ShardError where !error.isInputOutput: 1
      case PackError.cancelled: 3
      default: 2
      }
    text = String(describing: error) + (rank.map { " (rank \($0))" } ?? "")
  }

  var error: PackError {
    switch kind {
    case 0: .usage(text)
    case 1: .badData(text)
    case 3: .cancelled
    default: .inputOutput(text)
    }
  }
}

/// What a rank has done, as it travels between ranks: fields that end with a zero byte, then the
/// payload.
struct PackOutcome {
  var failure: PackFailure?
  /// Places in the plan's items, and why they could not be decoded.
  var skipped: [(item: Int, reason: String)] = []
  /// Shards that are complete, in order, and their images of each method.
  var counts: [(shard: Int, counts: [Int])] = []
  var payload: [UInt8] = []

  init() {}

  mutating func merge(_ other: PackOutcome) {
    failure = failure ?? other.failure
    skipped += other.skipped
    counts = (counts + other.counts).sorted { $0.shard < $1.shard }
  }

  var encoded: [UInt8] {
    var bytes: [UInt8] = []
    func put(_ text: String) {
      bytes += text.utf8.filter { $0 != 0 }
      bytes.append(0)
    }
    put("\(failure?.kind ?? -1)")
    put(failure?.text ?? "")
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
    return bytes + payload
  }

  init(decoding bytes: [UInt8]) {
    var rest = bytes[...]
    func field() -> String {
      let end = rest.firstIndex(of: 0)!
      defer { rest = rest[(end + 1)...] }
      return String(decoding: rest[..<end], as: UTF8.self)
    }
    let kind = Int(field())!
    let text = field()
    failure = kind < 0 ? nil : PackFailure(kind: kind, text: text)
    skipped = (0..<Int(field())!).map { _ in
      let item = Int(field())!
      return (item, field())
    }
    counts = (0..<Int(field())!).map { _ in
      let shard = Int(field())!
      return (shard, field().split(separator: ",").map { Int($0)! })
    }
    payload = Array(rest)
  }
}
