import Synchronization

/// The shards of one dataset, seen as one list of samples: in the order of the files' paths, within
/// a file in the order of its rows.
///
/// The shards may list their methods in different orders, or miss some: names are the identity. The
/// set's own list is "real", then all other names in alphabetical order, so it does not depend on
/// which file comes first.
public final class ShardSet: Sendable {
  public let shards: [Shard]
  /// Number of the first sample of each shard, and the total at the end.
  public let starts: [Int]
  public let height: Int
  public let width: Int
  /// Names of the methods of all shards; entry 0 is "real".
  public let methodNames: [String]
  /// How the faces of all shards were cut out; nil where none says it.
  public let preprocessing: ShardPreprocessing?
  /// 0 real, 1 fake, of every sample.
  public let labels: [UInt8]
  /// Index into `methodNames` of every sample.
  public let methods: [UInt8]
  /// What is added to the number of a shard's sample to tell it from all others of a job: zeros,
  /// unless the set is a rank's part of a larger one (see ``assigned(rank:seen:)``).
  let identifierOffsets: [Int]

  /// How many shards are kept open; others are opened when they are read.
  private let openLimit: Int
  /// Open shards, the one used last at the end.
  private let recent: Mutex<[Int]>

  /// Opens and validates the shards that match `patterns`.
  ///
  /// Throws if a pattern matches nothing, if a file is not a valid shard, if images differ in size,
  /// if there is no image at all, and if the shards are being replaced by others.
  public convenience init(patterns: [String], openLimit: Int = 128) throws {
    let paths = try FilePattern.expand(patterns)
    try ShardOutput.requireSettled(paths)
    let before = ShardOutput.identities(paths)
    try self.init(paths: paths, openLimit: openLimit)
    // All are of one data set, and all of it: none was replaced, added or removed meanwhile.
    try ShardOutput.requireSettled(paths)
    guard try FilePattern.expand(patterns) == paths, ShardOutput.identities(paths) == before else {
      throw ShardError(
        file: patterns[0],
        reason: "the shards were replaced by others while they were opened; start again")
    }
  }

  /// Opens and validates the shards at `paths`, in this order.
  public convenience init(paths: [String], openLimit: Int = 128) throws {
    precondition(!paths.isEmpty, "a set has at least one shard")
    var shards: [Shard] = []
    for path in paths {
      let shard = try Shard(reading: path)
      if shards.count >= openLimit { shard.close() }
      shards.append(shard)
    }
    try self.init(shards: shards, openLimit: openLimit)
  }

  /// - Parameters:
  ///   - methodNames: names to number the methods by; `nil` for those of `shards`.
  init(
    shards: [Shard], methodNames: [String]? = nil, identifierStarts: [Int]? = nil, openLimit: Int
  ) throws {
    let first = shards[0]
    for shard in shards where shard.height != first.height || shard.width != first.width {
      throw ShardError(
        file: shard.path,
        reason: "images are \(shard.height)x\(shard.width) pixels, but \(first.height)x"
          + "\(first.width) in \(first.path)")
    }
    let preprocessings = shards.map { $0.preprocessing.map { ShardPreprocessing($0) } }
    for (shard, found) in zip(shards, preprocessings) where found != preprocessings[0] {
      let texts = [found, preprocessings[0]].map { $0?.description ?? "unknown" }
      throw ShardError(
        file: shard.path,
        reason: "its faces were cut out otherwise (\(texts[0])) than those of \(first.path) "
          + "(\(texts[1])): a detector would tell the crops apart; pack both the same way")
    }
    let names = methodNames ?? Self.union(shards.map(\.methodNames))
    guard names.count <= ShardFormat.methodLimit else {
      throw ShardError(
        file: first.path,
        reason: "this and the other shards list \(names.count) different methods, at most "
          + "\(ShardFormat.methodLimit) can be")
    }
    let numbers = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, UInt8($0)) })
    var starts = [0]
    var labels: [UInt8] = []
    var methods: [UInt8] = []
    for shard in shards {
      let unified = shard.methodNames.map { numbers[$0]! }
      labels += shard.labels
      methods += shard.methods.lazy.map { unified[Int($0)] }
      starts.append(starts.last! + shard.count)
    }
    guard !labels.isEmpty else {
      throw ShardError(
        file: first.path,
        reason: shards.count == 1 ? "it holds no image" : "neither it nor the others hold an image")
    }
    self.shards = shards
    self.starts = starts
    (height, width) = (first.height, first.width)
    self.methodNames = names
    preprocessing = preprocessings[0]
    self.labels = labels
    self.methods = methods
    identifierOffsets =
      identifierStarts.map { zip($0, starts).map { $0 - $1 } }
      ?? [Int](repeating: 0, count: shards.count)
    self.openLimit = max(1, openLimit)
    recent = Mutex(shards.indices.filter { shards[$0].isOpen })
  }

  /// "real" and all other names in alphabetical order.
  static func union(_ lists: [[String]]) -> [String] {
    let others = Set(lists.joined()).subtracting([ShardFormat.real])
    return [ShardFormat.real]
      + others.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Number of samples.
  public var count: Int { labels.count }

  /// Bytes of one image.
  public var imageSize: Int { height * width * 3 }

  /// Whether every shard has masks.
  public var hasMasks: Bool { shards.allSatisfy { $0.hasMasks } }

  /// Throws if a crop of so many pixels a side does not fit into the images.
  public func checkFits(crop: Int) throws {
    guard crop <= height, crop <= width else {
      throw ShardError(
        file: shards[0].path,
        reason: "a crop of \(crop) pixels does not fit into images of \(height)x\(width); make "
          + "data.crop smaller or the images larger")
    }
  }

  /// The shard and the row in it of a sample.
  public func place(of sample: Int) -> (shard: Int, row: Int) {
    precondition((0..<count).contains(sample), "sample \(sample) of \(count)")
    // The last shard that starts at or before the sample; empty ones never do so last.
    var (low, high) = (0, shards.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= sample { low = middle } else { high = middle }
    }
    return (low, sample - starts[low])
  }

  /// What tells a sample from all others of a job, on whichever rank it is: random draws are keyed
  /// by it. The sample's number, unless the set is a rank's part of a larger one.
  public func identifier(of sample: Int) -> Int {
    sample + identifierOffsets[place(of: sample).shard]
  }

  /// Reads a sample's image: [height, width, 3] RGB. Errors name the file and the row.
  public func readImage(_ sample: Int, into buffer: UnsafeMutableBufferPointer<UInt8>) throws {
    let (shard, row) = place(of: sample)
    use(shard)
    try shards[shard].readImage(row, into: buffer)
  }

  /// Reads a sample's mask: [height, width], forged where it is at least 128, whatever values its shard
  /// has for that. The shard must have masks.
  public func readMask(_ sample: Int, into buffer: UnsafeMutableBufferPointer<UInt8>) throws {
    let (shard, row) = place(of: sample)
    use(shard)
    try shards[shard].readMask(row, into: buffer)
  }

  /// The source of every sample; "" where a shard has none.
  public func readSources() throws -> [String] {
    try shards.indices.flatMap { i in
      use(i)
      return try shards[i].readSources() ?? [String](repeating: "", count: shards[i].count)
    }
  }

  /// The path of every sample; "" where a shard has none.
  public func readPaths() throws -> [String] {
    try shards.indices.flatMap { i in
      use(i)
      return try shards[i].readPaths() ?? [String](repeating: "", count: shards[i].count)
    }
  }

  /// The frame of its video that every sample is, `FaceOrigin.noFrame` where it is none or its shard does
  /// not say.
  package func readFrames() throws -> [Int32] {
    try shards.indices.flatMap { i in
      use(i)
      return try shards[i].readFrames()
        ?? [Int32](repeating: FaceOrigin.noFrame, count: shards[i].count)
    }
  }

  /// Closes the shard that was not used for the longest time, if too many are open.
  private func use(_ shard: Int) {
    recent.withLock { recent in
      if recent.last == shard { return }
      if let place = recent.firstIndex(of: shard) { recent.remove(at: place) }
      recent.append(shard)
      if recent.count > openLimit { shards[recent.removeFirst()].close() }
    }
  }
}
