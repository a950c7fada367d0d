import Synchronization

/// The shards of one dataset, seen as one list of samples: in the order of the files' paths, within
/// a file in the order of its rows.
///
/// The shards may list their methods in different orders, or miss some: names are the identity. The
/// set's own list is "real", then all other names in alphabetical order, so it does not depend on
/// which file comes first.
///
/// What it knows of them is a ``ShardIndex``, which other ranks may share; files are opened when they are
/// read.
public final class ShardSet: Sendable {
  let index: ShardIndex
  public let shards: [Shard]
  /// Number of the first sample of each shard, and the total at the end.
  public let starts: [Int]
  /// How the faces of all shards were cut out; nil where none says it.
  public let preprocessing: ShardPreprocessing?
  /// Index into `methodNames` of every sample.
  public let methods: SampleMethods
  /// What is added to the number of a shard's sample to tell it from all others of a job: zeros,
  /// unless the set is a rank's part of a larger one (see ``assigned(rank:seen:)``).
  let identifierOffsets: [Int]

  /// How many shards the library has open at the most; others are opened when they are read.
  private let openLimit: Int
  /// Those, the one used last at the end.
  private let recent = Mutex<[Int]>([])

  /// Opens and validates the shards that match `patterns`.
  ///
  /// Throws if a pattern matches nothing, if a file is not a valid shard, if images differ in size,
  /// if there is no image at all, and if the shards are being replaced by others.
  public convenience init(patterns: [String], openLimit: Int = 128) throws {
    try self.init(bytes: ShardIndex.bytes(patterns: patterns), openLimit: openLimit)
  }

  /// Opens and validates the shards at `paths`, in this order.
  public convenience init(paths: [String], openLimit: Int = 128) throws {
    try self.init(bytes: ShardIndex.bytes(paths: paths), openLimit: openLimit)
  }

  /// - Parameter bytes: of an index that this process has made.
  convenience init(
    bytes: [UInt8], identifierStarts: [Int]? = nil, openLimit: Int = 128
  ) throws {
    try self.init(
      ShardIndex(ShardIndex.Memory(copying: bytes)), identifierStarts: identifierStarts,
      openLimit: openLimit)
  }

  /// Shards that were validated by whoever made the index.
  ///
  /// - Throws: `ShardIndex.Damage`.
  init(_ index: ShardIndex, identifierStarts: [Int]? = nil, openLimit: Int = 128) throws {
    let starts = (0..<index.header.shards).map { index[$0].start } + [index.header.samples]
    self.index = index
    self.starts = starts
    shards = try index.shards()
    methods = index.methods
    preprocessing = index.texts.preprocessing.map { ShardPreprocessing($0) }
    identifierOffsets =
      identifierStarts.map { zip($0, starts).map { $0 - $1 } }
      ?? [Int](repeating: 0, count: index.header.shards)
    self.openLimit = max(1, openLimit)
    OpenFiles.makeRoom(for: index.header.shards)
  }

  public var height: Int { index.header.height }
  public var width: Int { index.header.width }
  /// Names of the methods of all shards; entry 0 is "real".
  public var methodNames: [String] { index.texts.methodNames }
  /// 0 real, 1 fake, of every sample.
  public var labels: SampleLabels { SampleLabels(methods: methods) }

  /// "real" and all other names in alphabetical order.
  static func union(_ lists: [[String]]) -> [String] {
    let others = Set(lists.joined()).subtracting([ShardFormat.real])
    return [ShardFormat.real]
      + others.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Files that this process has opened past the library, to read images.
  package static var openedFiles: Int { OpenFiles.shared.counts.opened }

  /// Number of samples.
  public var count: Int { index.header.samples }

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

  /// Reads a sample's landmarks, in pixels of its image, and the box of the face that was detected in its
  /// source image; each `nil` where its shard has none.
  func readFace(_ sample: Int) throws -> (landmarks: [SIMD2<Float>]?, box: SIMD4<Float>?) {
    let (number, row) = place(of: sample)
    let shard = shards[number]
    guard shard.hasLandmarks || shard.hasBoxes else { return (nil, nil) }
    use(number)
    return (try shard.readLandmarks(row), try shard.readBox(row))
  }

  /// Reads a sample's image: [height, width, 3] RGB. Errors name the file and the row.
  public func readImage(_ sample: Int, into buffer: UnsafeMutableBufferPointer<UInt8>) throws {
    let (shard, row) = place(of: sample)
    if shards[shard].facts.stored.images == nil { use(shard) }
    try shards[shard].readImage(row, into: buffer)
  }

  /// Reads a sample's mask: [height, width], forged where it is at least 128, whatever values its shard
  /// has for that. The shard must have masks.
  public func readMask(_ sample: Int, into buffer: UnsafeMutableBufferPointer<UInt8>) throws {
    let (shard, row) = place(of: sample)
    if shards[shard].facts.stored.masks == nil { use(shard) }
    try shards[shard].readMask(row, into: buffer)
  }

  /// Reads a sample's mask as it is in the file.
  func readStoredMask(_ sample: Int, into buffer: UnsafeMutableBufferPointer<UInt8>) throws {
    let (shard, row) = place(of: sample)
    if shards[shard].facts.stored.masks == nil { use(shard) }
    try shards[shard].readStoredMask(row, into: buffer)
  }

  /// The source of every sample; "" where a shard has none. A name that many have is kept once.
  public func readSources() throws -> [String] {
    var sources: [String] = []
    sources.reserveCapacity(count)
    var names: [String: String] = [:]
    for i in shards.indices {
      use(i)
      guard let own = try shards[i].readSources() else {
        sources += repeatElement("", count: shards[i].count)
        continue
      }
      for name in own {
        if let known = names[name] {
          sources.append(known)
        } else {
          names[name] = name
          sources.append(name)
        }
      }
    }
    return sources
  }

  /// Calls `body` with the paths of the samples, shard by shard, so that never more than one's are in memory.
  public func forEachShardsPaths(
    _ body: (_ samples: Range<Int>, _ paths: [String]) throws -> Void
  ) throws {
    for i in shards.indices {
      use(i)
      let paths = try shards[i].readPaths() ?? [String](repeating: "", count: shards[i].count)
      try body(starts[i]..<starts[i + 1], paths)
    }
  }

  /// The paths and sources of some samples; "" where a shard has none.
  package func names(of samples: [Int]) throws -> [(path: String, source: String)] {
    var names = [(path: String, source: String)](repeating: ("", ""), count: samples.count)
    let places = Dictionary(grouping: samples.indices) { place(of: samples[$0]).shard }
    for (shard, places) in places.sorted(by: { $0.key < $1.key }) {
      use(shard)
      let (paths, sources) = (try shards[shard].readPaths(), try shards[shard].readSources())
      for place in places {
        let row = self.place(of: samples[place]).row
        names[place] = (paths?[row] ?? "", sources?[row] ?? "")
      }
    }
    return names
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

  /// Has the library close the shard that was not used for the longest time, if it has too many open.
  private func use(_ shard: Int) {
    recent.withLock { recent in
      if recent.last == shard { return }
      if let place = recent.firstIndex(of: shard) { recent.remove(at: place) }
      recent.append(shard)
      if recent.count > openLimit { shards[recent.removeFirst()].closeLibrary() }
    }
  }
}
