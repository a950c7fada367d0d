import HierarchicalData
import Synchronization

/// One shard, open for reading. Labels and methods are in memory; images are read row by row.
///
/// Opening validates everything but the pixels: format and version, types and shapes, labels 0 or 1,
/// methods that have names, and that exactly the images of method 0 are real. See ``ShardFormat``.
///
/// Images that lie in one piece each are read past the library, by several threads at once
/// (`StoredRows`); the library is opened again only for what lies otherwise, and for texts.
public final class Shard: Sendable {
  /// What was found when the shard was validated.
  let facts: ShardFacts
  /// Indices into `methodNames`; `count` of them.
  public let methods: SampleMethods
  /// 0 real, 1 fake; `count` of them.
  public var labels: SampleLabels { SampleLabels(methods: methods) }

  public var path: String { facts.path }
  /// Number of images.
  public var count: Int { facts.count }
  public var height: Int { facts.height }
  public var width: Int { facts.width }
  /// The names that `methods` number; entry 0 is "real".
  public var methodNames: [String] { facts.methodNames }
  public var hasSources: Bool { facts.contents.contains(.sources) }
  public var hasPaths: Bool { facts.contents.contains(.paths) }
  public var hasMasks: Bool { facts.contents.contains(.masks) }
  /// Whether ``readFrames()``, ``readBoxes()`` and ``readLandmarks(_:)`` give something.
  public var hasFrames: Bool { facts.contents.contains(.frames) }
  public var hasBoxes: Bool { facts.contents.contains(.boxes) }
  public var hasLandmarks: Bool { facts.contents.contains(.landmarks) }
  /// How faces were found and cut out, as JSON; `nil` where the shard doesn't say.
  public var preprocessing: String? { facts.preprocessing }
  /// Images that are unpacked to read one of them; 1 as ``ShardWriter`` stores them.
  public var imagesUnpackedTogether: Int { facts.imagesUnpackedTogether }
  /// The same of masks; 1 where there are none.
  public var masksUnpackedTogether: Int { facts.masksUnpackedTogether }

  /// The file as it was found last: where its rows lie, and the library's hold on it.
  private struct State {
    var stored: StoredFile
    /// `nil` while the library has closed the file; it is opened again when it is needed.
    var datasets: ShardDatasets?
  }

  private let state: Mutex<State>
  /// Where reading one row unpacks others: those, kept.
  private let unpackedImages: UnpackedRows?
  private let unpackedMasks: UnpackedRows?
  /// What the values of the masks mean, once that is known.
  private let scale: Mutex<MaskScale?>
  private let files: OpenFiles
  private let key: Int

  /// Opens and validates a shard.
  public convenience init(reading path: String) throws {
    let found = try ValidatedShard(reading: path)
    self.init(found.facts, methods: SampleMethods(.init(found.methods)), datasets: found.datasets)
  }

  /// A shard that was validated before.
  init(
    _ facts: ShardFacts, methods: SampleMethods, datasets: ShardDatasets? = nil,
    files: OpenFiles = .shared
  ) {
    self.facts = facts
    self.methods = methods
    self.files = files
    key = files.newKey()
    state = Mutex(State(stored: facts.stored, datasets: datasets))
    scale = Mutex(facts.scaleOfType)
    func unpacked(_ together: Int, rowSize: Int) -> UnpackedRows? {
      together > 1 ? UnpackedRows(count: facts.count, rowSize: rowSize, together: together) : nil
    }
    let pixels = facts.height * facts.width
    unpackedImages = unpacked(facts.imagesUnpackedTogether, rowSize: pixels * 3)
    unpackedMasks = unpacked(facts.masksUnpackedTogether, rowSize: pixels)
  }

  deinit { files.close(key) }

  // MARK: The file

  /// Runs `body` on the datasets, opening the file if it is closed.
  private func withDatasets<Result>(
    _ body: (ShardDatasets) throws -> Result
  ) throws -> Result {
    let opened = try state.withLock { state in
      if let datasets = state.datasets { return datasets }
      if FileStamp(of: path) != state.stored.checked.identity { try validateAgain(&state) }
      let opened = try ShardDatasets(HDF5File(reading: path, known: state.stored.checked))
      state.datasets = opened
      return opened
    }
    return try body(opened)
  }

  /// Another file has the shard's name now: it may be the same again, or have to be refused.
  private func validateAgain(_ state: inout State) throws {
    let found = try ValidatedShard(reading: path)
    let now = found.facts
    guard [now.count, now.height, now.width] == [count, height, width],
      now.contents == facts.contents,
      zip(found.methods, methods).allSatisfy({
        now.methodNames[Int($0)] == methodNames[Int($1)]
      })
    else {
      throw ShardError(file: path, reason: "it was replaced by another shard while it was in use")
    }
    state.stored = now.stored
    state.datasets = nil
    files.close(key)
  }

  /// Reads a row past the library.
  ///
  /// - Returns: false where it must be read by the library.
  private func readStored(
    _ rows: KeyPath<StoredFile, StoredRows?>, _ row: Int, name: String,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws -> Bool {
    var stored = state.withLock { $0.stored }
    guard stored[keyPath: rows] != nil else { return false }
    var file = try files.file(key, path: path, identity: stored.checked.identity)
    if file == nil {
      stored = try state.withLock { state in
        if FileStamp(of: path) != state.stored.checked.identity { try validateAgain(&state) }
        return state.stored
      }
      file = try files.file(key, path: path, identity: stored.checked.identity)
    }
    guard let file, let found = stored[keyPath: rows] else { return false }
    try found.read(row, from: file.descriptor, into: buffer, path: path, name: name)
    return true
  }

  /// Closes the file until it is needed again.
  public func close() {
    state.withLock { $0.datasets = nil }
    files.close(key)
  }

  /// Lets the library close the file until it is needed again.
  func closeLibrary() { state.withLock { $0.datasets = nil } }

  /// Whether the library has the file open.
  public var isOpen: Bool { state.withLock { $0.datasets != nil } }

  // MARK: Reading

  /// Bytes of one image.
  public var imageSize: Int { height * width * 3 }

  /// Reads image `row`: [height, width, 3] RGB.
  public func readImage(_ row: Int, into buffer: UnsafeMutableBufferPointer<UInt8>) throws {
    try readImages(row..<row + 1, into: buffer)
  }

  /// Reads consecutive images, densely: [rows, height, width, 3] RGB.
  public func readImages(
    _ rows: Range<Int>, into buffer: UnsafeMutableBufferPointer<UInt8>
  ) throws {
    precondition(
      rows.lowerBound >= 0 && rows.upperBound <= count && buffer.count >= rows.count * imageSize,
      "rows \(rows) of \(count) and room for them")
    guard let unpackedImages else {
      var done = 0
      while done < rows.count,
        try readStored(
          \.images, rows.lowerBound + done, name: "images",
          into: .init(rebasing: UnsafeMutableRawBufferPointer(buffer)[(done * imageSize)...]))
      { done += 1 }
      if done == rows.count { return }
      return try withDatasets { try $0.images.readRows(rows, into: buffer) }
    }
    try unpackedImages.copy(rows, into: buffer) { rows, block in
      try withDatasets { try $0.images.readRows(rows, into: block) }
    }
  }

  /// Reads the mask of image `row`: [height, width], forged where it is at least 128, whatever values
  /// the file has for that (see ``maskScale()``). The shard must have masks.
  public func readMask(_ row: Int, into buffer: UnsafeMutableBufferPointer<UInt8>) throws {
    try readStoredMask(row, into: buffer)
    try maskScale().normalise(.init(rebasing: buffer[..<(height * width)]))
  }

  /// Reads the mask of image `row` as it is in the file.
  func readStoredMask(_ row: Int, into buffer: UnsafeMutableBufferPointer<UInt8>) throws {
    precondition(
      hasMasks && (0..<count).contains(row) && buffer.count >= height * width,
      "a row of a shard with masks and room for it")
    let rows = row..<row + 1
    guard let unpackedMasks else {
      if try readStored(\.masks, row, name: "masks", into: UnsafeMutableRawBufferPointer(buffer)) {
        return
      }
      return try withDatasets { try $0.masks!.readRows(rows, into: buffer) }
    }
    try unpackedMasks.copy(rows, into: buffer) { rows, block in
      try withDatasets { try $0.masks!.readRows(rows, into: block) }
    }
  }

  /// Why the masks mark nothing of its fake images, naming the file; `nil` where they do, or where nobody
  /// has read one yet.
  public var maskProblem: String? {
    guard labels.contains(1), let problem = scale.withLock({ $0?.problem }) else { return nil }
    return "\(path): \(problem)"
  }

  /// What the values of the masks mean. The shard must have masks.
  ///
  /// Bytes of 0 and 1 are told from bytes of 0 and 255 by the values of the whole shard, never of one
  /// image: a mask that was a JPEG may have small values only. The masks of fake images are looked through
  /// first, and the first value of 128 or more decides, so of most shards one mask is read.
  public func maskScale() throws -> MaskScale {
    try scale.withLock { known in
      if let known { return known }
      var mask = [UInt8](repeating: 0, count: height * width)
      var maximum: UInt8 = 0
      for label: UInt8 in [1, 0] where maximum < 128 {
        for row in 0..<count where labels[row] == label {
          try mask.withUnsafeMutableBufferPointer { try readStoredMask(row, into: $0) }
          for value in mask { maximum = max(maximum, value) }
          if maximum >= 128 { break }
        }
      }
      let found: MaskScale =
        maximum >= 128
        ? .bytes : maximum > 1 ? .unknown(maximum: maximum) : maximum == 1 ? .ones : .empty
      known = found
      return found
    }
  }

  /// The source of every image, or `nil` if the shard has none.
  public func readSources() throws -> [String]? {
    try withDatasets { try $0.sources?.readStrings() }
  }

  /// The path of every image, or `nil` if the shard has none.
  public func readPaths() throws -> [String]? {
    try withDatasets { try $0.paths?.readStrings() }
  }

  /// The frame of its video that every image is, ``FaceOrigin/noFrame`` for none; `nil` if the shard
  /// doesn't say.
  public func readFrames() throws -> [Int32]? {
    try withDatasets { try $0.frames?.readAll(as: Int32.self) }
  }

  /// The detected face of every image: [count, 4], see ``FaceOrigin/box``; `nil` if the shard has none.
  public func readBoxes() throws -> [Float]? {
    try withDatasets { try $0.boxes?.readAll(as: Float.self) }
  }

  /// The landmarks of image `row`, in its pixels; `nil` if the shard has none.
  public func readLandmarks(_ row: Int) throws -> [SIMD2<Float>]? {
    precondition((0..<count).contains(row), "a row of the shard")
    return try withDatasets { datasets in
      guard let landmarks = datasets.landmarks else { return nil }
      var values = [Float](repeating: 0, count: FaceOrigin.landmarkCount * 2)
      try values.withUnsafeMutableBufferPointer {
        try landmarks.readRows(row..<row + 1, into: $0)
      }
      return (0..<FaceOrigin.landmarkCount).map { SIMD2(values[2 * $0], values[2 * $0 + 1]) }
    }
  }

  /// The detected face of image `row`, see ``FaceOrigin/box``; `nil` if the shard has none.
  public func readBox(_ row: Int) throws -> SIMD4<Float>? {
    precondition((0..<count).contains(row), "a row of the shard")
    return try withDatasets { datasets in
      guard let boxes = datasets.boxes else { return nil }
      var values = [Float](repeating: 0, count: 4)
      try values.withUnsafeMutableBufferPointer { try boxes.readRows(row..<row + 1, into: $0) }
      return SIMD4(values)
    }
  }

  // What inspection needs.

  /// How the images are stored.
  func imageStorage() throws -> HDF5Storage { try withDatasets { try $0.images.storage() } }
  /// How many chunks of images, and of masks, were written; `nil` where there are no chunks.
  func writtenChunks() throws -> (images: Int?, masks: Int?) {
    func count(_ dataset: HDF5Dataset?) throws -> Int? {
      guard let dataset, try dataset.storage(isMeasured: false).layout == .chunked else {
        return nil
      }
      return try dataset.writtenChunks()
    }
    return try withDatasets { (try count($0.images), try count($0.masks)) }
  }
  func maskStorage() throws -> HDF5Storage? { try withDatasets { try $0.masks?.storage() } }
}
