import Foundation
import TestSupport
import Testing

@testable import Checkpoints
@testable import Evaluation
@testable import ForgeryMining
@testable import Foundations
@testable import HierarchicalData

@Suite struct PrototypesFileTests {
  private let folder = TemporaryFolder()

  private var example: PrototypesFile {
    PrototypesFile(
      Prototypes(
        methods: ["swap", "Äugen"], height: 2, width: 3,
        maps: [0, 0.25, 1, 0.5, 0.125, 0.75, 1, 0, 0, 0.1, 0.2, 0.3], counts: [100, 7]),
      origin: .init(
        model: "xception-tiny", checkpoint: "runs/demo/checkpoints/step-00000300", step: 300,
        weights: "0123456789abcdef", data: "d/validation-*.h5", imagesPerMethod: 100),
      calibration: .init(
        plainAccuracy: 0.5, centredAccuracy: 0.75, plainThreshold: 0.9, centredThreshold: 0.125,
        plainAreaUnderROC: 0.75, centredAreaUnderROC: 0.625))
  }

  /// Writes a file of the format by hand, after `change` has had its way with it.
  private func file(
    _ name: String, format: String = "rfm-prototypes", version: Int64 = 1,
    shape: [Int] = [2, 1, 2],
    maps: [Float] = [1, 2, 3, 4], counts: [Int64] = [1, 1], names: [String] = ["a", "b"]
  ) throws -> String {
    let path = folder(name)
    let file = try HDF5File.create(path)
    try file.write("prototypes", maps, shape: shape)
    try file.write("counts", counts)
    try file.write(
      "method_names", names, type: HDF5StringType(fixedLength: 8, padding: .nullPadded))
    try file.setAttribute(
      "format", .string(format), strings: HDF5StringType(fixedLength: 20, isUTF8: false))
    try file.setAttribute("version", .integer(version))
    try file.close()
    return path
  }

  @Test func whatIsWrittenReadsBackTheSame() throws {
    try example.write(to: folder("prototypes.h5"))
    #expect(try PrototypesFile(reading: folder("prototypes.h5")) == example)
    #expect(try folder.contents() == ["prototypes.h5"])
  }

  /// Names of shards may hold what separates them in `data`.
  @Test func thePatternsOfTheShardsAreKeptOneByOne() throws {
    var file = example
    file.origin = .init(patterns: ["a, b/x-*.h5", "c.h5"], imagesPerMethod: 3)
    #expect(file.origin.data == "a, b/x-*.h5, c.h5")
    try file.write(to: folder("patterns.h5"))
    #expect(try PrototypesFile(reading: folder("patterns.h5")).origin == file.origin)
  }

  @Test func meanFacesAreKeptWhereThereAreAny() throws {
    var file = example
    file.meanFaces = MeanFaces(
      methods: ["swap", "Äugen"], height: 2, width: 3, images: (0..<36).map { UInt8($0 * 7) })
    try file.write(to: folder("faces.h5"))
    #expect(try PrototypesFile(reading: folder("faces.h5")) == file)
    let written = try HDF5File(reading: folder("faces.h5"))
    #expect(try written.dataset("mean_faces").shape == [2, 2, 3, 3])
    // Faces of another size, or none at all.
    let path = try self.file("other.h5")
    #expect(try PrototypesFile(reading: path).meanFaces == nil)
    let other = try HDF5File.create(folder("wrong.h5"))
    try other.write("prototypes", [1, 2] as [Float], shape: [1, 1, 2])
    try other.write("counts", [1] as [Int64])
    try other.write("method_names", ["a"])
    try other.write("mean_faces", [UInt8](repeating: 1, count: 3), shape: [1, 1, 1, 3])
    try other.setAttribute("format", .string(PrototypesFile.format))
    try other.setAttribute("version", .integer(1))
    try other.close()
    let error = try #require(throws: PrototypesFileError.self) {
      try PrototypesFile(reading: folder("wrong.h5"))
    }
    #expect(error.reason.contains("mean_faces") && error.reason.contains("[1, 1, 2, 3]"))
  }

  private var epoch: EpochPrototypes {
    EpochPrototypes(
      epoch: 7, methods: ["swap", "Äugen"], side: 2,
      sums: [0, 1 << 30, 5, 3 << 29, 0, 0, 7, 1], coverage: [1, 1, 2, 2, 0, 9, 9, 9],
      counts: [2, 9])
  }

  @Test func theEpochsPrototypesAreKeptBesideTheExactOnes() throws {
    var file = example
    file.epoch = epoch
    try file.write(to: folder("both.h5"))
    #expect(try PrototypesFile(reading: folder("both.h5")) == file)
    let contents = try HDF5File(reading: folder("both.h5"))
    #expect(
      try contents.dataset("epoch_prototypes").readAll(as: Float.self)
        == [0, 1, 2.5 / 0x1p30, 0.75, 0, 0, Float(7.0 / 9 / 0x1p30), Float(1.0 / 9 / 0x1p30)])

    let bare = PrototypesFile(
      Prototypes(methods: [], height: 2, width: 2, maps: [], counts: []), epoch: epoch)
    try bare.write(to: folder("bare.h5"))
    #expect(try PrototypesFile(reading: folder("bare.h5")) == bare)
    let lines = FileInspection(of: folder("bare.h5"), depth: .init(verifies: true)).lines
    #expect(lines.contains("prototypes of training images in epoch 7, 2x2"))
    #expect(lines.contains("  swap: mean over 2 images"))
  }

  @Test func sumsThatCannotBeAreRefused() throws {
    func refused(_ change: (inout EpochPrototypes) -> Void) throws -> Bool {
      var file = example
      file.epoch = epoch
      change(&file.epoch!)
      try file.write(to: folder("bad.h5"))
      do {
        _ = try PrototypesFile(reading: folder("bad.h5"))
        return false
      } catch let error as PrototypesFileError {
        return error.description.contains("epoch_sums") || error.description.contains("epoch")
      }
    }
    #expect(try !refused { _ in })
    #expect(try refused { $0.sums[1] += 1 })
    #expect(try refused { $0.sums[0] = -1 })
    #expect(try refused { $0.coverage[1] = -1 })
    #expect(try refused { $0.counts[0] = -1 })
    #expect(try refused { $0.methods = ["swap", "swap"] })
    #expect(try refused { $0.epoch = -1 })
  }

  @Test func whatIsNotKnownIsLeftOutAndNoMethodsAreFine() throws {
    let bare = PrototypesFile(
      Prototypes(methods: [], height: 4, width: 4, maps: [], counts: []))
    try bare.write(to: folder("bare.h5"))
    #expect(try PrototypesFile(reading: folder("bare.h5")) == bare)
    let file = try HDF5File(reading: folder("bare.h5"))
    #expect(try file.attributeNames() == ["format", "version"])
  }

  @Test func theFormatIsTheDocumentedOne() throws {
    try example.write(to: folder("prototypes.h5"))
    let file = try HDF5File(reading: folder("prototypes.h5"))
    #expect(try file.names() == ["counts", "method_names", "prototypes"])
    let maps = try file.dataset("prototypes")
    #expect(maps.shape == [2, 2, 3] && maps.type == .floatingPoint(bits: 32))
    #expect(try maps.storage().fletcher32)
    #expect(try file.dataset("counts").type == .integer(bits: 64, isSigned: true))
    #expect(try file.dataset("method_names").readStrings() == ["swap", "Äugen"])
    #expect(try file.attribute("format") == .string("rfm-prototypes"))
    #expect(try file.attribute("version") == .integer(1))
    #expect(try file.attribute("step") == .integer(300))
  }

  @Test func filesOfOtherProgramsWithFixedLengthStringsRead() throws {
    let read = try PrototypesFile(reading: try file("other.h5")).prototypes
    #expect(read.methods == ["a", "b"] && read.maps == [1, 2, 3, 4])
    #expect(read.height == 1 && read.width == 2)
  }

  @Test func theMoreAccurateKindIsChosenWithItsThreshold() {
    let calibration = example.calibration
    #expect(calibration.kind == .centred)
    #expect(calibration.threshold(.centred) == 0.125 && calibration.threshold(.plain) == 0.9)
    #expect(PrototypesFile.Calibration().kind == .plain)
  }

  @Test func filesThatHoldSomethingElseAreRefusedWithTheReason() throws {
    let cases: [(path: String, reason: String)] = [
      (try file("a.h5", format: "rfm-shard"), "rfm-shard"),
      (try file("b.h5", version: 2), "version is 2"),
      (try file("c.h5", shape: [4, 1, 1]), "counts"),
      (try file("d.h5", shape: [4]), "expected float32 [methods, height, width]"),
      (try file("e.h5", counts: [1, -1]), "negative"),
      (try file("f.h5", names: ["a"]), "1 names for 2"),
      (try file("g.h5", names: ["a", "a"]), "twice"),
      (try file("h.h5", maps: [1, 2, .nan, 4]), "\"b\""),
      (try file("i.h5", shape: [0, 0, 4], maps: [], counts: [], names: []), "impossible shape"),
    ]
    for (path, reason) in cases {
      let error = #expect(throws: PrototypesFileError.self) { try PrototypesFile(reading: path) }
      let text = error.map { "\($0)" } ?? ""
      #expect(text.contains(reason) && text.contains(path) && !text.contains("\n"))
    }
    let missing = #expect(throws: HDF5Error.self) {
      try PrototypesFile(reading: folder("missing.h5"))
    }
    #expect(missing.map { ExitStatus(ending: $0) } == .inputOutput)
    try Data("no HDF5".utf8).write(to: folder.url.appendingPathComponent("text.h5"))
    let text = #expect(throws: HDF5Error.self) { try PrototypesFile(reading: folder("text.h5")) }
    #expect(text.map { ExitStatus(ending: $0) } == .badData)
  }

  @Test func aDamagedFileIsNoticed() throws {
    try example.write(to: folder("prototypes.h5"))
    let url = folder.url.appendingPathComponent("prototypes.h5")
    var bytes = try Data(contentsOf: url)
    // A value of the maps: 0.125 as float32, which occurs nowhere else.
    let pattern = Data([0, 0, 0, 0x3E])
    let place = try #require(bytes.range(of: pattern))
    bytes[place.lowerBound + 1] ^= 0x40
    try bytes.write(to: url)
    #expect(throws: HDF5Error.self) { try PrototypesFile(reading: folder("prototypes.h5")) }
  }

  @Test func aFileCutShortAnywhereIsRefused() throws {
    try example.write(to: folder("whole.h5"))
    let whole = try Data(contentsOf: folder.url.appendingPathComponent("whole.h5"))
    for count in stride(from: 0, to: whole.count, by: 131) {
      try whole.prefix(count).write(to: folder.url.appendingPathComponent("cut.h5"))
      let error = #expect(throws: HDF5Error.self) { try PrototypesFile(reading: folder("cut.h5")) }
      #expect(error.map { ExitStatus(ending: $0) } == .badData, "\(count) bytes")
    }
  }

  @Test func mapsThatNoMemoryHoldsAreRefusedBeforeItIsTaken() throws {
    for side in [1 << 12, 1 << 20] {
      let path = folder("huge-\(side).h5")
      do {
        let file = try HDF5File.create(path)
        try file.setAttribute("format", .string("rfm-prototypes"))
        try file.setAttribute("version", .integer(1))
        _ = try file.createDataset(
          "prototypes", of: Float.self, shape: [99, side, side],
          layout: HDF5Layout(chunk: [1, 1, side]))
        try file.write("counts", [Int64](repeating: 1, count: 99))
        try file.write("method_names", (0..<99).map { "m\($0)" })
      }
      let error = #expect(throws: (any Error).self) { try PrototypesFile(reading: path) }
      let text = error.map { "\($0)" } ?? ""
      #expect(text.hasPrefix(path) && (text.contains("impossible") || text.contains("allowed")))
    }
  }

  @Test func whatStoodThereStaysWhenWritingFails() throws {
    let path = folder("missing-folder") + "/prototypes.h5"
    #expect(throws: (any Error).self) { try example.write(to: path) }
    #expect(try folder.contents() == [])
  }
}
