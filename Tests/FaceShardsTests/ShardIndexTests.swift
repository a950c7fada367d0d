import Foundation
import TestSupport
import Testing

@testable import FaceShards

@Suite struct ShardIndexTests {
  let folder = TemporaryFolder()

  private func write() throws {
    try ShardFixtures.write(
      folder("a.h5"), methods: [0, 2, 1], names: ["real", "swap", "blend"], masks: true, paths: true
    )
    try ShardFixtures.write(folder("b.h5"), methods: [], names: ["real"])
    try ShardFixtures.write(
      folder("c.h5"), methods: [1, 0], names: ["real", "grid"], first: 3, gzip: 4)
  }

  private var pattern: [String] { [folder("*.h5")] }

  private func image(_ set: ShardSet, _ sample: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: set.imageSize)
    try bytes.withUnsafeMutableBufferPointer { try set.readImage(sample, into: $0) }
    return bytes
  }

  @Test func whoHasTheBytesReadsImagesWithoutTheLibrary() throws {
    try write()
    let set = try ShardSet(
      ShardIndex(ShardIndex.Memory(copying: ShardIndex.bytes(patterns: pattern))))
    #expect(set.methodNames == ["real", "blend", "grid", "swap"])
    #expect(set.methods == [0, 1, 3, 2, 0] && set.labels == [0, 1, 1, 1, 0])
    #expect(set.shards.map(\.hasMasks) == [true, false, false])
    #expect(set.shards.map(\.hasPaths) == [true, false, false])
    for sample in [4, 0, 3, 1, 2] {
      #expect(try image(set, sample) == KnownImage.pixels(sample, height: 8, width: 10))
    }
    var mask = [UInt8](repeating: 0, count: 80)
    for sample in 0..<3 {
      try mask.withUnsafeMutableBufferPointer { try set.readMask(sample, into: $0) }
      #expect(mask == ShardFixtures.mask(sample, height: 8, width: 10))
    }
    #expect(!set.shards.contains { $0.isOpen })
    // Texts are the library's.
    #expect(try set.shards[0].readPaths() == ["p/0.png", "p/1.png", "p/2.png"])
    #expect(set.shards[0].isOpen)
  }

  @Test func anIndexIsSeenHereAsLongAsFilesAreTheSame() throws {
    try write()
    let index = try ShardIndex(ShardIndex.Memory(copying: ShardIndex.bytes(patterns: pattern)))
    #expect(index.isSeenHere)
    try ShardFixtures.write(folder("c.h5"), methods: [1, 0], names: ["real", "grid"], first: 9)
    #expect(!index.isSeenHere)
  }

  /// As when it is packed anew, with the same images or others, while somebody reads it.
  @Test func aShardThatWasReplacedIsValidatedAgain() throws {
    try write()
    let set = try ShardSet(patterns: pattern)
    _ = try image(set, 3)
    set.shards[2].close()
    // The same methods by other numbers, other images.
    try ShardFixtures.write(
      folder("c.h5"), methods: [2, 0], names: ["real", "age", "grid"], first: 11)
    #expect(try image(set, 3) == KnownImage.pixels(11, height: 8, width: 10))
    set.shards[2].close()
    try ShardFixtures.write(folder("c.h5"), methods: [0, 1], names: ["real", "grid"], first: 3)
    let message = ShardFixtures.message { _ = try image(set, 3) }
    #expect(
      message == "\(folder("c.h5")): it was replaced by another shard while it was in use")
  }

  @Test func bytesThatAreNoIndexAreRefused() throws {
    try write()
    let whole = try ShardIndex.bytes(patterns: pattern)
    func isRefused(_ bytes: [UInt8]) -> Bool {
      do {
        _ = try ShardIndex(ShardIndex.Memory(copying: bytes)).shards()
        return false
      } catch { return true }
    }
    #expect(!isRefused(whole))
    #expect(isRefused([]) && isRefused(Array(whole.dropLast())) && isRefused(whole + [0]))
    // Whatever stands in the header and the records, nothing outside of the bytes is looked at.
    let end = ShardIndex.recordStart + 3 * MemoryLayout<ShardIndex.Record>.size
    for place in stride(from: 0, to: end, by: 8) {
      for value: [UInt8] in [[255, 255, 255, 255, 255, 255, 255, 127], [1, 0, 0, 0, 0, 0, 1, 0]] {
        var bytes = whole
        bytes.replaceSubrange(place..<place + 8, with: value)
        _ = isRefused(bytes)
      }
    }
    var strange = whole
    strange[0] ^= 1
    #expect(isRefused(strange))
  }

  @Test func anIndexFileSparesOpeningAsLongAsItFits() throws {
    let data = folder("data")
    try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
    for number in 0..<3 {
      try ShardFixtures.write("\(data)/s-\(number).h5", methods: [0, 1], first: 2 * number)
    }
    let written = try ShardIndexFile(writing: ["\(data)/s-*.h5"])
    #expect(written.path.hasPrefix("\(data)/.rfm-index-") && written.images == 6)
    let before = try ShardSet(patterns: ["\(data)/s-*.h5"]).fingerprint()
    try ShardFixtures.damageUnseen("\(data)/s-1.h5")
    // The folder may have another name.
    let moved = folder("moved")
    try FileManager.default.moveItem(atPath: data, toPath: moved)
    let set = try ShardSet(patterns: ["\(moved)/s-*.h5"])
    #expect(try set.fingerprint() == before)
    for sample in 0..<6 {
      #expect(try image(set, sample) == KnownImage.pixels(sample, height: 8, width: 10))
    }
    // Of other shards, or of changed ones, it is not taken.
    func problem(_ pattern: String) -> String? {
      ShardFixtures.message { _ = try ShardSet(patterns: ["\(moved)/\(pattern)"]) }
    }
    #expect(problem("s-[12].h5")?.contains("s-1.h5: cannot open") == true)
    #expect(problem("s-*.h5") == nil)
    let index = try #require(
      FileManager.default.contentsOfDirectory(atPath: moved).first { $0.hasPrefix(".rfm-index-") })
    let whole = try Data(contentsOf: URL(filePath: "\(moved)/\(index)"))
    for place in [0, 8, 200, whole.count / 2, whole.count - 1] {
      var changed = whole
      changed[place] ^= 4
      try changed.write(to: URL(filePath: "\(moved)/\(index)"))
      #expect(problem("s-*.h5")?.contains("s-1.h5: cannot open") == true, "byte \(place)")
    }
    try whole.write(to: URL(filePath: "\(moved)/\(index)"))
    #expect(problem("s-*.h5") == nil)
    try ShardFixtures.write("\(moved)/s-2.h5", methods: [0, 1], first: 4)
    #expect(problem("s-*.h5")?.contains("s-1.h5: cannot open") == true)
  }

  @Test func aSurveyTellsTheSameOfCopiesAndHeedsEveryShard() throws {
    for number in 100..<140 {
      try ShardFixtures.write(folder("d-\(number).h5"), methods: [0, 1], first: number)
    }
    let survey = try ShardSurvey([folder("d-*.h5")])
    #expect(survey.set.shards.count == 20 && survey.description.contains("40 shards of "))
    let copy = TemporaryFolder()
    for number in 100..<140 {
      try FileManager.default.copyItem(
        atPath: folder("d-\(number).h5"), toPath: copy("d-\(number).h5"))
    }
    #expect(try "\(ShardSurvey([copy("d-*.h5")]))" == "\(survey)")
    // One that is not opened has an image more.
    try ShardFixtures.write(copy("d-101.h5"), methods: [0, 1, 1], first: 101)
    #expect(try ShardSurvey([copy("d-*.h5")]).fingerprint != survey.fingerprint)
    try write()
    #expect(
      try ShardSurvey([folder("[ac].h5")]).description
        .hasPrefix("5 images of 8x10 pixels in 2 shards, "))
  }
}
