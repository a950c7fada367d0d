import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import HierarchicalData

/// Labels, methods, masks and files as other programs write them. The golden files are h5py's, all of
/// the same six images.
@Suite struct ShardDialectTests {
  let folder: TemporaryFolder

  init() throws { folder = TemporaryFolder() }

  private func refusal(_ path: String) -> String? {
    ShardFixtures.message { _ = try Shard(reading: path) }
  }

  private func image(_ shard: Shard, _ row: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: shard.imageSize)
    try bytes.withUnsafeMutableBufferPointer { try shard.readImage(row, into: $0) }
    return bytes
  }

  private func mask(_ shard: Shard, _ row: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 99, count: shard.height * shard.width)
    try bytes.withUnsafeMutableBufferPointer { try shard.readMask(row, into: $0) }
    return bytes
  }

  /// Where the golden shards' row is forged, row by row of pixels.
  private func isForged(_ row: Int) -> [Bool] {
    (0..<80).map { pixel in
      let (y, x) = pixel.quotientAndRemainder(dividingBy: 10)
      return [1, 3, 4].contains(row) && (2..<5).contains(y) && (row..<row + 3).contains(x)
    }
  }

  // MARK: Chunks

  /// The library would read on behind what such a chunk inflates to.
  @Test(arguments: ["short", "short-checked", "long"])
  func aChunkThatDoesNotInflateToItsSizeIsDamaged(kind: String) throws {
    let shard = try Shard(reading: ShardFixtures.golden("chunk-\(kind).h5"))
    for row in [0, 1, 3, 4, 5] { _ = try image(shard, row) }
    let error = try #require(throws: HDF5Error.self) { _ = try image(shard, 2) }
    #expect(error.description.contains("a compressed chunk is damaged"), "\(error)")
  }

  // MARK: Labels

  @Test(arguments: [
    "booleans.h5", "bit-fields.h5", "names.h5", "names-reversed.h5", "columns.h5",
    "half-precision.h5", "user-block.h5", "user-block-latest.h5", "one-chunk.h5",
  ])
  func labelsAndMethodsReadTheSameHoweverTheyAreStored(name: String) throws {
    let shard = try Shard(reading: ShardFixtures.golden(name))
    #expect(shard.methodNames == ["real", "blend", "grid ü"])
    #expect(shard.labels == [0, 1, 0, 1, 1, 0])
    #expect(shard.methods == [0, 1, 0, 2, 1, 0])
    #expect(try shard.readSources() == (0..<6).map { "video-\($0 / 2)" })
    #expect(try shard.readPaths() == (0..<6).map { "a/Zürich \($0).png" })
    for row in 0..<6 {
      #expect(try image(shard, row) == KnownImage.pixels(row, height: 8, width: 10))
    }
  }

  @Test(arguments: [
    ("name-unknown.h5", "row 3: the label is \"swapped\", expected a name such as \"real\""),
    (
      "soft-labels.h5", "row 0: the label is 0.05, which is no whole number, expected 0 (real) or 1"
    ),
    ("one-hot.h5", "labels have shape [6, 2], expected [6] as there are images"),
    ("texts.h5", "labels are texts (4-byte ASCII), expected uint8: 0 (real) or 1 (fake)"),
    ("lzf-labels.h5", "labels are compressed with lzf (HDF5 filter 32000), which is not installed"),
  ])
  func otherLabelsAreRefusedByWhatTheyAre(name: String, reason: String) throws {
    let message = try #require(refusal(ShardFixtures.golden(name)))
    #expect(message.hasPrefix("\(ShardFixtures.golden(name)): \(reason)"), "\(message)")
    #expect(!message.contains("\n"))
  }

  @Test func namesOfLabelsAreKnownInAnyCaseAndNeverBoth() {
    for (name, label) in [
      ("real", 0), ("Real", 0), ("FALSE", 0), ("original", 0), ("pristine", 0), ("fake", 1),
      ("TRUE", 1), ("Manipulated", 1), ("deepfake", 1),
    ] as [(String, Int64)] {
      #expect(LabelNames.label(name) == label, "\(name)")
    }
    for name in ["", "0", "unreal", "swap", "realfake"] { #expect(LabelNames.label(name) == nil) }
  }

  @Test func aNumberWithTwoNamesHasNone() {
    let both = HDF5Enumeration([
      .init(name: "real", value: 0), .init(name: "fake", value: 0), .init(name: "x", value: 1),
    ])
    #expect(both.name(of: 0) == nil && both.name(of: 1) == "x" && both.name(of: 2) == nil)
    // Of an enumeration whose other names were not kept nothing is certain.
    let cut = HDF5Enumeration([.init(name: "real", value: 0)], count: 300)
    #expect(cut.name(of: 0) == nil)
  }

  // MARK: Masks

  @Test(
    arguments: [
      ("as-written.h5", .bytes), ("one-chunk.h5", .bytes), ("masks-with-edges.h5", .bytes),
      ("booleans.h5", .ones), ("bit-fields.h5", .ones), ("columns.h5", .ones),
      ("user-block.h5", .ones),
    ] as [(String, MaskScale)])
  func masksMarkTheSameHoweverTheyAreStored(name: String, scale: MaskScale) throws {
    let shard = try Shard(reading: ShardFixtures.golden(name))
    for row in [3, 0, 5, 1, 4, 2] {
      #expect(try mask(shard, row).map { $0 >= 128 } == isForged(row), "row \(row)")
    }
    #expect(try shard.maskScale() == scale)
    #expect(shard.maskProblem == nil)
    let contents = try MaskContents(of: shard)
    #expect(contents.fakes == 3 && contents.lookedAt == 3 && contents.marked == 3)
    #expect(contents.share == 27.0 / 240)
    #expect(contents.scale == scale)
  }

  @Test func masksOfOtherTypesAreRefusedByWhatTheyAre() throws {
    let integers = ShardFixtures.golden("masks-of-int16.h5")
    #expect(
      refusal(integers)
        == "\(integers): masks are int16 of shape [6, 8, 10], expected uint8 (255 or 1 where forged) "
        + "or bool of shape [6, 8, 10]")
    let path = folder("float.h5")
    do {
      let file = try HDF5File.create(path)
      try file.setAttribute("format", .string("rfm-shard"))
      try file.setAttribute("version", .integer(1))
      try file.write("images", [UInt8](repeating: 9, count: 480), shape: [2, 8, 10, 3])
      try file.write("labels", [0, 1] as [UInt8])
      try file.write("methods", [0, 1] as [UInt8])
      try file.write("method_names", ["real", "blend"])
      try file.write("masks", [Float](repeating: 1, count: 160), shape: [2, 8, 10])
      try file.close()
    }
    #expect(refusal(path)?.hasPrefix("\(path): masks are float32 of shape [2, 8, 10]") == true)
  }

  /// What one image's values are says nothing: a mask that was a JPEG may have small ones only.
  @Test func bytesOfOneMaskDoNotDecideForTheShard() throws {
    func write(_ path: String, _ masks: [[UInt8]]) throws -> Shard {
      let writer = try ShardWriter(
        path: path, height: 8, width: 10, methodNames: ["real", "blend"], hasSources: false,
        hasMasks: true)
      for (row, mask) in masks.enumerated() {
        try writer.append(
          image: KnownImage.pixels(row, height: 8, width: 10), method: row % 2, mask: mask)
      }
      try writer.finish()
      return try Shard(reading: path)
    }
    func plane(_ value: UInt8) -> [UInt8] {
      (0..<80).map { $0 < 20 ? value : 0 }
    }
    let jpeg = try write(folder("jpeg.h5"), [plane(1), plane(1), plane(0), plane(255)])
    #expect(try jpeg.maskScale() == .bytes)
    #expect(try !mask(jpeg, 1).contains { $0 >= 128 })
    #expect(try mask(jpeg, 3).count { $0 >= 128 } == 20)
    // Only a real image tells that these are not ones; it tells so all the same.
    let odd = try write(folder("odd.h5"), [plane(200), plane(1)])
    #expect(try odd.maskScale() == .bytes)
    let ones = try write(folder("ones.h5"), [plane(0), plane(1), plane(0), plane(1)])
    #expect(try mask(ones, 3).count { $0 >= 128 } == 20)
    #expect(
      try MaskContents(of: ones).line
        == "0 and 1, forged where 1; 2 of 2 fake images are marked, 25.0 % of their pixels")
    let reals = try write(folder("reals.h5"), [plane(0)])
    #expect(try reals.maskScale() == .empty && reals.maskProblem == nil)
    #expect(try ShardInspection.problems(of: reals).isEmpty)
  }

  @Test func masksThatMarkNothingAreSaid() throws {
    let path = ShardFixtures.golden("masks-of-100.h5")
    let shard = try Shard(reading: path)
    #expect(try shard.maskScale() == .unknown(maximum: 100))
    #expect(try !mask(shard, 3).contains { $0 >= 128 })
    let inspection = try ShardInspection(of: shard)
    #expect(
      inspection.lines.contains(
        "  masks hold: 0 and 100, nothing forged; 0 of 3 fake images are marked, 0.0 % of their "
          + "pixels"), "\(inspection.lines)")
    let problems = try ShardInspection.problems(of: shard)
    #expect(problems.count == 1)
    #expect(
      problems.first?.hasPrefix("\(path): the largest value of its masks is 100, so nothing")
        == true)

    let empty = folder("empty.h5")
    let writer = try ShardWriter(
      path: empty, height: 8, width: 10, methodNames: ["real", "blend"], hasSources: false,
      hasMasks: true)
    for (row, forged) in [(0, 0), (1, 9), (2, 0), (3, 0)] {
      try writer.append(
        image: KnownImage.pixels(row, height: 8, width: 10), method: row % 2,
        mask: (0..<80).map { $0 < forged ? 255 : 0 })
    }
    try writer.finish()
    #expect(
      try ShardInspection.problems(of: Shard(reading: empty))
        == ["\(empty): row 3: the image is fake, but its mask marks nothing"])
  }

  // MARK: Files

  @Test(arguments: [
    ("unfinished.h5", "the file has 7584 bytes, but says it has"),
    ("unfinished-latest.h5", "it is marked as open for writing"),
    ("unfinished-at-once.h5", "it is marked as open for writing"),
  ])
  func whatAWriterLeftUnfinishedIsSaid(name: String, reason: String) throws {
    let message = try #require(refusal(ShardFixtures.golden(name)))
    #expect(message.contains(name) && message.contains(reason), "\(message)")
    #expect(message.contains("write it again") || message.contains("did not finish"), "\(message)")
  }

  @Test func aFileThatAnotherProgramWritesIsNotRead() throws {
    let path = folder("written.h5")
    try ShardFixtures.write(path, methods: [0, 1])
    let descriptor = open(path, O_RDWR)
    defer { close(descriptor) }
    // As the library does it for a file that is open for writing.
    try #require(flock(descriptor, LOCK_EX | LOCK_NB) == 0)
    let message = try #require(refusal(path))
    #expect(message.hasPrefix("\(path): cannot open: another program has it open for writing"))
    try #require(flock(descriptor, LOCK_SH) == 0)
    #expect(refusal(path) == nil, "a reader's lock is nobody's business")
    try #require(flock(descriptor, LOCK_UN) == 0)
    #expect(refusal(path) == nil)
  }

  @Test func theVersionIsAWholeNumberInAnyForm() throws {
    func shard(_ version: HDF5Value) throws -> String? {
      let path = folder("version.h5")
      let file = try HDF5File.create(path)
      try file.setAttribute("format", .string("rfm-shard"))
      try file.setAttribute("version", version)
      try file.write("images", [UInt8](repeating: 9, count: 240), shape: [1, 8, 10, 3])
      try file.write("labels", [0] as [UInt8])
      try file.write("methods", [0] as [UInt8])
      try file.write("method_names", ["real"])
      try file.close()
      return refusal(path).map { String($0.dropFirst(path.utf8.count)) }
    }
    #expect(try shard(.integers([1])) == nil)
    #expect(try shard(.number(1)) == nil)
    #expect(
      try shard(.string("1"))
        == ": it has no whole number as its attribute version, but the text \"1\", expected 1")
    #expect(try shard(.integers([1, 2]))?.contains("but several numbers, expected 1") == true)
    #expect(try shard(.number(1.5))?.contains("version, but 1.5, expected 1") == true)
  }
}
