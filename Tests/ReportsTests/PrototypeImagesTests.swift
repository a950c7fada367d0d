import Foundation
import Testing

@testable import Checkpoints
@testable import FaceShards
@testable import ForgeryMining
@testable import Reports

@Suite struct PrototypeImagesTests {
  private func write(_ path: String, methods: [String], kinds: [Int]) throws {
    let writer = try ShardWriter(path: path, height: 6, width: 6, methodNames: methods)
    for (row, kind) in kinds.enumerated() {
      try [UInt8](repeating: UInt8(10 * kind + row), count: 6 * 6 * 3).withUnsafeBufferPointer {
        try writer.append(image: $0, method: kind, source: "\(row)")
      }
    }
    try writer.finish()
  }

  @Test func imagesOfPrototypesAreFoundWhateverTheirShardsAreCalled() throws {
    let folder = NSTemporaryDirectory() + "rfm-prototype-images-" + UUID().uuidString
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try write(folder + "/v-0.h5", methods: ["real", "a", "b"], kinds: [0, 1, 2, 1, 0])
    try write(folder + "/v-1.h5", methods: ["real", "b", "a"], kinds: [1, 2, 2, 0])
    try write(folder + "/t-0.h5", methods: ["real", "a"], kinds: [1, 0])
    try FileManager.default.createSymbolicLink(
      atPath: folder + "/link.h5", withDestinationPath: folder + "/v-1.h5")
    let side = 4
    let prototypes = Prototypes(
      methods: ["a", "b"], height: side, width: side,
      maps: [Float](repeating: 0.5, count: 2 * side * side), counts: [2, 2])
    let file = PrototypesFile(
      prototypes, origin: .init(data: folder + "/v-{0,1}.h5", imagesPerMethod: 2))

    // The first two of each: rows 1 and 3, row 2 and, in the other shard, row 0.
    let all = try ShardSet(patterns: [folder + "/v-*.h5"])
    #expect(PrototypeImages.samples(of: file, in: all) == [1, 2, 3, 5])
    let mixed = try ShardSet(patterns: [folder + "/link.h5", folder + "/t-0.h5"])
    #expect(PrototypeImages.samples(of: file, in: mixed) == [0])
    var unknown = file
    unknown.origin.data = folder + "/gone-*.h5"
    #expect(PrototypeImages.samples(of: unknown, in: all).isEmpty)

    #expect(PrototypeImages.knownSamples(of: unknown, in: all) == nil)
    // A method without a prototype was left out: its images went into none.
    let one = PrototypesFile(
      Prototypes(
        methods: ["a"], height: side, width: side,
        maps: [Float](repeating: 0.5, count: side * side), counts: [2]), origin: file.origin)
    #expect(PrototypeImages.samples(of: one, in: all) == [1, 3])

    let faces = try PrototypeImages.meanFaces(of: prototypes, all, crop: side, perMethod: 2)
    #expect(faces.methods == ["a", "b"])
    // Rows 1 and 3 of the first shard hold 11 and 13; its row 2 holds 22, row 0 of the other 10.
    #expect(faces.image("a")?.allSatisfy { $0 == 12 } == true)
    #expect(faces.image("b")?.allSatisfy { $0 == 16 } == true)
  }

  @Test func imagesOfPrototypesAreFoundInAFolderWithACommaInItsName() throws {
    let folder = NSTemporaryDirectory() + "rfm-a, b-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try write(folder + "/v.h5", methods: ["real", "a"], kinds: [0, 1, 1])
    let file = PrototypesFile(
      Prototypes(
        methods: ["a"], height: 4, width: 4, maps: [Float](repeating: 0.5, count: 16), counts: [1]),
      origin: .init(patterns: [folder + "/*.h5"], imagesPerMethod: 1))
    try file.write(to: folder + "/prototypes")
    let set = try ShardSet(patterns: [folder + "/v.h5"])
    #expect(
      PrototypeImages.samples(of: try PrototypesFile(reading: folder + "/prototypes"), in: set) == [
        1
      ])
    let warning = try PrototypeImages.warning(
      prototypes: folder + "/prototypes", data: [folder + "/v.h5"])
    #expect(warning?.hasPrefix("1 of 2 fake images went into the prototypes in ") == true)
  }
}
