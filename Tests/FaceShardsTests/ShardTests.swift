import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import HierarchicalData

@Suite struct ShardTests {
  let folder: TemporaryFolder

  init() throws { folder = TemporaryFolder() }

  private func image(_ shard: Shard, _ row: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: shard.imageSize)
    try bytes.withUnsafeMutableBufferPointer { try shard.readImage(row, into: $0) }
    return bytes
  }

  @Test(arguments: [nil, 4]) func whatIsWrittenIsRead(gzip: Int?) throws {
    let path = folder("train-00000.h5")
    let methods = [1, 0, 2, 0, 0, 1, 2]
    try ShardFixtures.write(path, methods: methods, gzip: gzip, masks: true, paths: true)
    #expect(try folder.contents() == ["train-00000.h5"])
    let shard = try Shard(reading: path)
    #expect(shard.count == 7 && shard.height == 8 && shard.width == 10)
    #expect(shard.methodNames == ["real", "blend", "grid"])
    #expect(shard.methods == methods.map { UInt8($0) })
    #expect(shard.labels == methods.map { $0 > 0 ? 1 : 0 })
    for row in 0..<7 {
      #expect(try image(shard, row) == KnownImage.pixels(row, height: 8, width: 10))
      var mask = [UInt8](repeating: 1, count: 80)
      try mask.withUnsafeMutableBufferPointer { try shard.readMask(row, into: $0) }
      #expect(mask == ShardFixtures.mask(row, height: 8, width: 10))
    }
    #expect(try shard.readSources() == (0..<7).map { "video-\($0 / 2)" })
    #expect(try shard.readPaths() == (0..<7).map { "p/\($0).png" })
    let storage = try shard.imageStorage()
    #expect(storage.chunk == [1, 8, 10, 3] && storage.fletcher32 && storage.deflate == gzip)
    shard.close()
    #expect(!shard.isOpen)
    // Images are read past the library, texts by it.
    #expect(try image(shard, 3) == KnownImage.pixels(3, height: 8, width: 10))
    #expect(!shard.isOpen)
    #expect(try shard.readPaths()?.last == "p/6.png")
    #expect(shard.isOpen)
  }

  @Test func originsOfFacesAreReadAsTheyWereWritten() throws {
    let path = folder("faces.h5")
    let origins: [FaceOrigin] = (0..<5).map { row in
      let points = (0..<68).map { SIMD2<Float>(Float($0), Float(row) + 0.25) }
      return
        FaceOrigin(
          frame: row == 3 ? FaceOrigin.noFrame : Int32(row * 7),
          box: SIMD4(Float(row), 2, Float(40 + row), 61.5),
          landmarks: points)
    }
    let writer = try ShardWriter(
      path: path, height: 8, width: 10, methodNames: ["real", "swap"], hasSources: false,
      hasOrigins: true, hasLandmarks: true, preprocessing: #"{"margin":1.3}"#)
    for (row, origin) in origins.enumerated() {
      try writer.append(
        image: KnownImage.pixels(row, height: 8, width: 10), method: row % 2, origin: origin)
    }
    try writer.finish()
    let shard = try Shard(reading: path)
    let (frames, boxes) = (try shard.readFrames(), try shard.readBoxes())
    #expect(frames == [0, 7, 14, -1, 28])
    let expected: [Float] = (0..<5).flatMap { [Float($0), 2, Float(40 + $0), 61.5] }
    #expect(boxes == expected)
    for (row, origin) in origins.enumerated() {
      #expect(try shard.readLandmarks(row) == origin.landmarks)
    }
    #expect(shard.preprocessing == #"{"margin":1.3}"#)
    #expect(
      try ShardInspection(of: shard).lines.suffix(4) == [
        "  frames: 4 of videos, numbered 0 to 28, and 1 others",
        "  boxes: faces 41 to 41 pixels wide in their images, median 41",
        "  landmarks: 68 a face", #"  preprocessing: {"margin":1.3}"#,
      ])
    // Without them everything is as before.
    try ShardFixtures.write(path, methods: [0, 1])
    let plain = try Shard(reading: path)
    #expect(!plain.hasFrames && !plain.hasBoxes && !plain.hasLandmarks)
    #expect(try plain.readBoxes() == nil)
    #expect(try plain.readLandmarks(0) == nil)
    #expect(plain.preprocessing == nil)
  }

  @Test(arguments: ["as-written.h5", "contiguous.h5", "compressed.h5", "latest.h5"])
  func shardsOfH5pyReadTheSame(name: String) throws {
    let shard = try Shard(reading: ShardFixtures.golden(name))
    #expect(shard.count == 6 && shard.height == 8 && shard.width == 10)
    #expect(shard.methodNames == ["real", "blend", "grid ü"])
    #expect(shard.methods == [0, 1, 0, 2, 1, 0])
    #expect(shard.labels == [0, 1, 0, 1, 1, 0])
    #expect(try shard.readSources() == (0..<6).map { "video-\($0 / 2)" })
    #expect(try shard.readPaths() == (0..<6).map { "a/Zürich \($0).png" })
    for row in 0..<6 {
      #expect(try image(shard, row) == KnownImage.pixels(row, height: 8, width: 10))
    }
    #expect(shard.hasMasks == (name == "as-written.h5"))
    if shard.hasMasks {
      var mask = [UInt8](repeating: 1, count: 80)
      try mask.withUnsafeMutableBufferPointer { try shard.readMask(3, into: $0) }
      for y in 0..<8 {
        for x in 0..<10 {
          #expect(mask[y * 10 + x] == ((2..<5).contains(y) && (3..<6).contains(x) ? 255 : 0))
        }
      }
    }
  }

  @Test func aFilterThatTheLibraryLacksIsNamed() throws {
    let message = refusal(ShardFixtures.golden("unknown-filter.h5"))
    #expect(
      message?.hasSuffix(
        "unknown-filter.h5: images are compressed with lzf (HDF5 filter 32000), which is not "
          + "installed here; read them with h5py and write them again with compression=\"gzip\"")
        == true)
  }

  /// The library would look for the end of such a heap for ever.
  @Test func aHeapOfStringsWhoseFreeSpaceHasNoSizeIsRefused() throws {
    var bytes = [UInt8](try Data(contentsOf: URL(filePath: ShardFixtures.golden("as-written.h5"))))
    func number(_ offset: Int) -> Int {
      bytes[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    let heap = try #require(bytes.firstRange(of: Array("GCOL".utf8))?.lowerBound)
    var offset = heap + 16
    while bytes[offset] != 0 || bytes[offset + 1] != 0 {
      offset += 16 + (number(offset + 8) + 7) / 8 * 8
    }
    let free = heap + number(heap + 8) - offset
    #expect(number(offset + 8) == free, "the test follows the format")
    for size in [0, 15, free + 8] {
      for byte in 0..<8 { bytes[offset + 8 + byte] = UInt8(truncatingIfNeeded: size >> (8 * byte)) }
      let path = folder("heap.h5")
      try Data(bytes).write(to: URL(filePath: path))
      let message = try #require(refusal(path))
      #expect(message.contains("its free space is \(size) bytes of \(free)"), "\(message)")
    }
  }

  /// The files that these lead to are there, and would be read by any other program.
  @Test(arguments: [
    ("external-storage.h5", "its data lie in other files, which are not read"),
    ("virtual.h5", "its data lie in other files, which are not read"),
    ("external-link.h5", "images"), ("external-link-behind.h5", "images"),
  ]) func dataInOtherFilesAreNotRead(name: String, reason: String) throws {
    let message = try #require(refusal(ShardFixtures.golden(name)))
    #expect(message.contains(name) && message.contains(reason), "\(message)")
  }

  @Test func anUnfinishedShardLeavesNothingAndTheOldOneStands() throws {
    let path = folder("x.h5")
    try ShardFixtures.write(path, methods: [0, 1])
    do {
      let writer = try ShardWriter(
        path: path, height: 8, width: 10, methodNames: ["real"], hasSources: false)
      try writer.append(image: KnownImage.pixels(0, height: 8, width: 10), method: 0)
      #expect(try folder.contents() == [".x.h5.partial", "x.h5"])
    }
    #expect(try folder.contents() == ["x.h5"])
    #expect(try Shard(reading: path).count == 2)
  }

  @Test func aShardWithoutImagesIsReadAsSuch() throws {
    let path = folder("empty.h5")
    try ShardFixtures.write(path, methods: [])
    let shard = try Shard(reading: path)
    #expect(shard.count == 0)
    #expect(try shard.readSources() == [])
  }

  @Test func aFolderThatDoesNotExistIsNamed() throws {
    let message = ShardFixtures.message {
      try ShardFixtures.write(folder("no/x.h5"), methods: [0])
    }
    #expect(message?.contains("no/.x.h5.partial: cannot create: No such file") == true)
  }

  /// Writes a shard by hand in which one thing is as `change` makes it.
  private func handmade(
    format: HDF5Value? = .string("rfm-shard"), version: HDF5Value? = .integer(1),
    images: [Int]? = [2, 8, 10, 3], wideImages: Bool = false, labels: [Int64]? = [0, 1],
    methods: [Int64]? = [0, 1], names: [String]? = ["real", "blend"], sources: [String]? = nil,
    masks: [Int]? = nil
  ) throws -> String {
    let path = folder("handmade.h5")
    let file = try HDF5File.create(path)
    if let format { try file.setAttribute("format", format) }
    if let version { try file.setAttribute("version", version) }
    if let images {
      let count = images.reduce(1, *)
      if wideImages {
        try file.write("images", [Float](repeating: 0, count: count), shape: images)
      } else {
        try file.write("images", [UInt8](repeating: 9, count: count), shape: images)
      }
    }
    if let labels { try file.write("labels", labels) }
    if let methods { try file.write("methods", methods) }
    if let names { try file.write("method_names", names) }
    if let sources { try file.write("sources", sources) }
    if let masks {
      try file.write("masks", [UInt8](repeating: 0, count: masks.reduce(1, *)), shape: masks)
    }
    try file.close()
    return path
  }

  private func refusal(_ path: String) -> String? {
    ShardFixtures.message { _ = try Shard(reading: path) }
  }

  @Test func everyViolationOfTheFormatIsNamed() throws {
    #expect(try refusal(handmade()) == nil)
    let path = folder("handmade.h5")
    func expect(_ reason: String, _ file: String, line: Int = #line) {
      let message = refusal(file)
      #expect(message == "\(path)\(reason)", "line \(line)")
    }
    expect(": it is not a shard: it has no attribute format", try handmade(format: nil))
    expect(
      ": it is not a shard: its format is \"rfm-prototypes\"",
      try handmade(format: .string("rfm-prototypes")))
    expect(
      ": its format version is 2, this program reads version 1", try handmade(version: .integer(2)))
    expect(
      ": it has no whole number as its attribute version, but the text \"1\", expected 1",
      try handmade(version: .string("1")))
    expect(", images: cannot open: there is no such dataset", try handmade(images: nil))
    expect(
      ": images are uint8 of shape [2, 8, 10], expected uint8 of shape [N, H, W, 3]",
      try handmade(images: [2, 8, 10]))
    expect(
      ": images are uint8 of shape [2, 8, 10, 4], expected uint8 of shape [N, H, W, 3]",
      try handmade(images: [2, 8, 10, 4]))
    expect(
      ": images are float32 of shape [2, 8, 10, 3], expected uint8 of shape [N, H, W, 3]",
      try handmade(wideImages: true))
    expect(
      ": images are 0x10 pixels, expected sides of 1 to 16384", try handmade(images: [2, 0, 10, 3]))
    expect(", labels: cannot open: there is no such dataset", try handmade(labels: nil))
    expect(
      ": labels have shape [3], expected [2] as there are images", try handmade(labels: [0, 1, 1]))
    expect(
      ": row 1: the label is 2, expected 0 (real) or 1 (fake)", try handmade(labels: [0, 2]))
    expect(", methods: cannot open: there is no such dataset", try handmade(methods: nil))
    expect(
      ": row 0: the method is -1, but there are 2 method_names", try handmade(methods: [-1, 1]))
    expect(": row 1: the method is 2, but there are 2 method_names", try handmade(methods: [0, 2]))
    expect(
      ": row 0: the label is real, but the method is \"blend\"", try handmade(methods: [1, 1]))
    expect(": row 1: the label is fake, but the method is \"real\"", try handmade(methods: [0, 0]))
    expect(", method_names: cannot open: there is no such dataset", try handmade(names: nil))
    expect(
      ": method_names begin with \"blend\", expected \"real\"",
      try handmade(names: ["blend", "real"]))
    expect(": method_names begin with nothing, expected \"real\"", try handmade(names: []))
    expect(": method_names list \"a\" twice", try handmade(names: ["real", "a", "a"]))
    expect(": one of the method_names is empty", try handmade(names: ["real", ""]))
    expect(
      ": sources have shape [1], expected [2] as there are images", try handmade(sources: ["x"]))
    expect(
      ": masks are uint8 of shape [2, 8, 9], expected uint8 of shape [2, 8, 10]",
      try handmade(masks: [2, 8, 9]))
  }

  @Test func imagesThatWereNeverStoredAreRefusedBeforeAnythingIsAllocatedForThem() throws {
    let path = folder("declared.h5")
    do {
      let file = try HDF5File.create(path)
      try file.setAttribute("format", .string("rfm-shard"))
      try file.setAttribute("version", .integer(1))
      for (name, shape) in [("images", [1 << 36, 256, 256, 3]), ("labels", [1 << 36])] {
        _ = try file.createDataset(
          name, of: UInt8.self, shape: shape,
          layout: HDF5Layout(chunk: [1] + shape.dropFirst()))
      }
    }
    let message = refusal(path)
    #expect(message?.contains("but the file holds only 0 of them") == true)
  }

  @Test func aDamagedImageIsNamedByFileAndRowAndTheOthersRead() throws {
    let path = folder("damaged.h5")
    try ShardFixtures.write(path, methods: [0, 1, 0])
    var bytes = try Data(contentsOf: URL(filePath: path))
    let place = try #require(
      bytes.firstRange(of: KnownImage.pixels(1, height: 8, width: 10)[..<32]))
    bytes[place.lowerBound + 5] ^= 0x10
    try bytes.write(to: URL(filePath: path))
    let shard = try Shard(reading: path)
    #expect(try image(shard, 0) == KnownImage.pixels(0, height: 8, width: 10))
    #expect(try image(shard, 2) == KnownImage.pixels(2, height: 8, width: 10))
    do {
      _ = try image(shard, 1)
      Issue.record("a damaged image was read")
    } catch let error as HDF5Error {
      #expect(error.isDamage)
      #expect(error.description.hasPrefix("\(path), images: cannot read row 1: "))
    }
  }

  @Test func aShardCutShortAnywhereIsAnError() throws {
    let path = folder("whole.h5")
    try ShardFixtures.write(path, methods: [0, 1, 0, 2])
    let bytes = try Data(contentsOf: URL(filePath: path))
    let cut = folder("cut.h5")
    for part in stride(from: 0, to: bytes.count, by: 251) {
      try bytes.prefix(part).write(to: URL(filePath: cut))
      #expect(refusal(cut)?.hasPrefix("\(cut): cannot open: ") == true)
    }
  }
}
