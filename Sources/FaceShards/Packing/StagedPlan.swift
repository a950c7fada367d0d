import Foundations

/// A plan while its files are packed. What grows with them lies in a file of the folder in which shards
/// grow: a rank reads of it what it works on, so that none holds the names of millions of files.
struct StagedPlan {
  /// A ``PackUnit`` and where its files are told.
  private struct Place {
    let unit: PackUnit
    let offset: Int
    let count: Int
    let digest: UInt64
  }

  let methods: [String]
  let splits: [String]
  let notes: [String]
  let shards: [PackPlan.Shard]
  let contents: PackContents
  private let places: [Place]
  private let path: String

  var unitCount: Int { places.count }
  func unit(_ number: Int) -> PackUnit { places[number].unit }

  /// Writes down what `plan` says of its files, in place of what was written of the same plan before.
  ///
  /// - Parameter folder: where the shards grow.
  /// - Throws: `FileError`.
  init(_ plan: PackPlan, in folder: String) throws {
    (methods, splits, notes) = (plan.methods, plan.splits, plan.notes)
    (shards, contents) = (plan.shards, PackContents(plan))
    let path = Self.path(in: folder)
    var places: [Place] = []
    try DurableFile.write(through: path) { beside in
      let file = try FileWriter(creating: beside)
      var offset = 0
      for unit in plan.units {
        let bytes = PlannedFile.encode(plan.files(unit.items))
        try bytes.withUnsafeBytes { try file.write($0) }
        places.append(
          Place(unit: unit, offset: offset, count: bytes.count, digest: Self.digest(bytes)))
        offset += bytes.count
      }
    }
    (self.places, self.path) = (places, path)
  }

  private static func path(in folder: String) -> String { folder + "/files" }

  private static func digest(_ bytes: [UInt8]) -> UInt64 {
    var digest = ContentsDigest()
    digest.add(bytes)
    return digest.value
  }

  /// What lies in the folder is no longer what was written there.
  var changed: ShardError {
    ShardError(
      file: path, reason: "it was changed while files were packed: start again", isInputOutput: true
    )
  }

  /// The files of a unit.
  ///
  /// - Throws: ``ShardError`` if they are not told as they were, `FileError`.
  func files(of unit: Int) throws -> [PlannedFile] {
    let place = places[unit]
    let file = try FileReader(opening: path)
    var bytes = [UInt8](repeating: 0, count: place.count)
    let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: place.offset) }
    guard count == place.count, Self.digest(bytes) == place.digest,
      let files = PlannedFile.decode(bytes),
      files.count == place.unit.items.count
    else {
      throw changed
    }
    return files
  }

  /// Numbers of a shard's units.
  func units(of shard: Int) -> Range<Int> {
    // Units are in the order of shards.
    func first(from shard: Int) -> Int {
      var (low, high) = (0, places.count)
      while low < high {
        let middle = (low + high) / 2
        if places[middle].unit.shard < shard { low = middle + 1 } else { high = middle }
      }
      return low
    }
    return first(from: shard)..<first(from: shard + 1)
  }
}

/// What other ranks need beside the file, as bytes: fields that end with a zero byte, which no name holds.
extension StagedPlan {
  var encoded: [UInt8] {
    var bytes: [UInt8] = []
    func put(_ field: [UInt8]) {
      bytes += field
      bytes.append(0)
    }
    func put(_ number: some BinaryInteger) { put(Array(String(number).utf8)) }
    for list in [methods, splits, notes] {
      put(list.count)
      for text in list { put(Array(text.utf8)) }
    }
    put(shards.count)
    for shard in shards {
      put(shard.split)
      put(shard.range.upperBound)
    }
    put(contents.images)
    put(contents.videos)
    put(contents.hasMasks ? 1 : 0)
    put(contents.beginsWithVideo ? 1 : 0)
    put(contents.image?.bytes ?? [])
    put(contents.video?.bytes ?? [])
    put(places.count)
    for place in places {
      put(place.unit.shard)
      put(place.unit.items.upperBound)
      put(place.count)
      put(place.digest)
    }
    return bytes
  }

  /// - Parameter bytes: those of another rank's plan, in the same folder.
  init(decoding bytes: [UInt8], in folder: String) {
    var rest = bytes[...]
    func field() -> ArraySlice<UInt8> {
      let field = rest.prefix { $0 != 0 }
      rest = rest.dropFirst(field.count + 1)
      return field
    }
    func text() -> String { String(decoding: field(), as: UTF8.self) }
    func number() -> Int { Int(text())! }
    func list() -> [String] { (0..<number()).map { _ in text() } }
    func path() -> BytePath? {
      let field = field()
      return field.isEmpty ? nil : BytePath(bytes: Array(field))
    }
    methods = list()
    splits = list()
    notes = list()
    var start = 0
    shards = (0..<number()).map { _ in
      let (split, end) = (number(), number())
      defer { start = end }
      return PackPlan.Shard(split: split, range: start..<end)
    }
    contents = PackContents(
      images: number(), videos: number(), hasMasks: number() == 1,
      beginsWithVideo: number() == 1, image: path(), video: path())
    var (item, offset) = (0, 0)
    places = (0..<number()).map { _ in
      let (shard, end, count) = (number(), number(), number())
      defer { (item, offset) = (end, offset + count) }
      return Place(
        unit: PackUnit(shard: shard, items: item..<end), offset: offset, count: count,
        digest: UInt64(text())!)
    }
    self.path = Self.path(in: folder)
  }
}
