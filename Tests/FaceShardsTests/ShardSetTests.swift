import Foundation
import Tensors
import TestSupport
import Testing

@testable import FaceShards

@Suite struct ShardSetTests {
  let folder: TemporaryFolder

  init() throws { folder = TemporaryFolder() }

  private func image(_ set: ShardSet, _ sample: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: set.imageSize)
    try bytes.withUnsafeMutableBufferPointer { try set.readImage(sample, into: $0) }
    return bytes
  }

  @Test func shardsAreOneListInTheOrderOfPathsThenRows() throws {
    try ShardFixtures.write(
      folder("b-10.h5"), methods: [1, 0], names: ["real", "grid"], first: 5)
    try ShardFixtures.write(
      folder("a.h5"), methods: [0, 2, 1], names: ["real", "swap", "blend"])
    try ShardFixtures.write(folder("b-09.h5"), methods: [], names: ["real"])
    try ShardFixtures.write(
      folder("b-1.h5"), methods: [2, 1], names: ["real", "grid", "swap"], first: 3)
    let set = try ShardSet(patterns: [folder("*.h5")], openLimit: 2)
    #expect(
      set.shards.map { String($0.path.split(separator: "/").last!) }
        == ["a.h5", "b-09.h5", "b-1.h5", "b-10.h5"])
    #expect(set.count == 7 && set.starts == [0, 3, 3, 5, 7])
    #expect(set.methodNames == ["real", "blend", "grid", "swap"])
    #expect(set.methods == [0, 1, 3, 3, 2, 2, 0])
    #expect(set.labels == [0, 1, 1, 1, 1, 1, 0])
    for _ in 0..<2 {
      for sample in [6, 0, 3, 2, 5, 1, 4] {
        #expect(try image(set, sample) == KnownImage.pixels(sample, height: 8, width: 10))
        #expect(!set.shards.contains { $0.isOpen })
        #expect(set.identifier(of: sample) == sample)
      }
    }
    #expect(
      try set.readSources() == (0..<7).map { "video-\($0 / 2)" })
    // What the library must read it keeps open, of as many shards as it may.
    #expect(set.shards.map(\.isOpen) == [false, false, true, true])
    let names = try set.names(of: [6, 0, 3])
    #expect(names.map(\.source) == ["video-3", "video-0", "video-1"])
    #expect(names.allSatisfy { $0.path == "" })
    #expect(!set.hasMasks)
  }

  @Test func patternsExpandSortedOnceEachAndAnEmptyOneIsNamed() throws {
    for name in ["x-2.h5", "x-10.h5", "y.h5", "z.txt", "[odd].h5"] {
      try Data().write(to: URL(filePath: folder(name)))
    }
    func expand(_ patterns: String...) throws -> [String] {
      try FilePattern.expand(patterns.map { folder($0) })
        .map { String($0.dropFirst(folder.path.count + 1)) }
    }
    #expect(try expand("x-*.h5", "x-2.h5", "y.h5") == ["x-10.h5", "x-2.h5", "y.h5"])
    #expect(try expand("{y,x-2}.h5") == ["x-2.h5", "y.h5"])
    #expect(try expand("[odd].h5") == ["[odd].h5"])
    let pattern = ShardFixtures.message { _ = try expand("y.h5", "test-*.h5") }
    #expect(pattern == "\(folder.path)/test-*.h5: no file matches this pattern")
    let plain = ShardFixtures.message { _ = try expand("none.h5") }
    #expect(plain == "\(folder.path)/none.h5: no such file")
    let directory = ShardFixtures.message { _ = try FilePattern.expand([folder.path]) }
    #expect(
      directory == "\(folder.path): it is a folder; name the files in it, as in \(folder.path)/*.h5"
    )
  }

  @Test func setsThatDoNotFitTogetherAreRefused() throws {
    try ShardFixtures.write(folder("a.h5"), methods: [0])
    try ShardFixtures.write(folder("b.h5"), methods: [0], height: 9)
    let size = ShardFixtures.message { _ = try ShardSet(patterns: [folder("*.h5")]) }
    #expect(
      size == "\(folder("b.h5")): images are 9x10 pixels, but 8x10 in \(folder("a.h5"))")
    try ShardFixtures.write(folder("b.h5"), methods: [])
    let empty = ShardFixtures.message { _ = try ShardSet(patterns: [folder("b.h5")]) }
    #expect(empty == "\(folder("b.h5")): it holds no image")
  }

  @Test func shardsAreAssignedOnceEachWhetherDisksAreSharedCopiesOrParts() throws {
    // Two "nodes": node 0 holds a, b, c; node 1 a copy of b, and another shard named c.
    for node in 0..<2 {
      try FileManager.default.createDirectory(
        atPath: folder("node\(node)"), withIntermediateDirectories: true)
    }
    try ShardFixtures.write(
      folder("node0/a.h5"), methods: [0, 1, 0], names: ["real", "blend"])
    for node in 0..<2 {
      try ShardFixtures.write(
        folder("node\(node)/b.h5"), methods: [1, 0], names: ["real", "grid"], first: 10)
    }
    try ShardFixtures.write(
      folder("node0/c.h5"), methods: [0, 0, 1, 1], names: ["real", "swap"], first: 20)
    try ShardFixtures.write(
      folder("node1/c.h5"), methods: [1, 1, 0, 0, 0], names: ["real", "age"], first: 30)
    // Ranks 0 and 1 on node 0, rank 2 on node 1.
    let sets = try [0, 0, 1].map { try ShardSet(patterns: [folder("node\($0)/*.h5")]) }
    let seen = try sets.map {
      try ShardIdentity.decode(ShardIdentity.encode($0.identities()))
    }
    let parts = try sets.indices.map { try sets[$0].assigned(rank: $0, seen: seen) }
    #expect(parts.map(\.count) == [4, 5, 5])
    #expect(parts.allSatisfy { $0.methodNames == ["real", "age", "blend", "grid", "swap"] })
    var identifiers: [Int] = []
    for part in parts { identifiers += (0..<part.count).map(part.identifier) }
    #expect(identifiers.sorted() == Array(0..<14))
    // Images and labels are those of the files.
    let firsts = [20, 0, 30]
    for (part, first) in zip(parts, firsts) {
      #expect(try image(part, 0) == KnownImage.pixels(first, height: 8, width: 10))
    }
    #expect(parts[2].methods.map { parts[2].methodNames[Int($0)] }.prefix(2) == ["age", "age"])
  }

  /// The rule in words, by going through all ranks for every shard.
  @Test(arguments: [1, 2, 3]) func largeShardsGoFirstToWhoHasLeast(seed: UInt64) throws {
    var random = CounterGenerator(seed: seed, purpose: .crop)
    let shards = (0..<200).map {
      ShardIdentity(
        name: "s\($0)", digest: UInt64($0), count: 1 + Int(random.next() % 5), height: 8, width: 8,
        methodNames: ["real"])
    }
    // Four disks, the last of which holds some of the first's.
    var seen = (0..<3).map { disk in shards.filter { Int($0.digest) % 3 == disk } }
    seen.append(Array(seen[0].prefix(40)) + seen[1].suffix(5))
    let lists = (0..<24).map { $0 < 4 ? $0 : Int(random.next() % 4) }
    let assignment = try ShardAssignment(seen: seen, lists: lists)
    var (samples, held) = ([Int](repeating: 0, count: 24), [Int](repeating: 0, count: 24))
    for shard in shards.sorted(by: {
      $0.count == $1.count ? ShardIdentity.precedes($0, $1) : $0.count > $1.count
    }) {
      let owner = lists.indices.filter { seen[lists[$0]].contains(shard) }
        .min { (samples[$0], held[$0], $0) < (samples[$1], held[$1], $1) }!
      #expect(assignment.rank(of: shard) == owner, "\(shard.name)")
      samples[owner] += shard.count
      held[owner] += 1
    }
  }

  @Test func aFingerprintTellsSetsApartAndHeedsNoNamesOfFiles() throws {
    func fingerprint(_ pattern: String) throws -> ShardFingerprint {
      try ShardSet(patterns: [folder(pattern)]).fingerprint()
    }
    let names = ["real", "blend"]
    try ShardFixtures.write(folder("a-1.h5"), methods: [0, 1, 0, 1], names: names)
    try ShardFixtures.write(folder("a-2.h5"), methods: [], names: names)
    try ShardFixtures.write(folder("a-3.h5"), methods: [1, 0], names: names, first: 4)
    let first = try fingerprint("a-*.h5")
    #expect(first.images == 6 && first.shards == 3)
    #expect(first.description.hasPrefix("6 images in 3 shards ("))
    for (from, to) in [("a-1", "b-1"), ("a-2", "b-2"), ("a-3", "b-3")] {
      try FileManager.default.copyItem(
        atPath: folder("\(from).h5"), toPath: folder("\(to).h5"))
    }
    #expect(try fingerprint("b-*.h5") == first)

    // Other images, other labels, other methods, another division into shards.
    try ShardFixtures.write(folder("c-1.h5"), methods: [0, 1, 0, 1], names: names, first: 1)
    try ShardFixtures.write(folder("c-2.h5"), methods: [0, 1, 1, 0], names: names)
    try ShardFixtures.write(folder("c-3.h5"), methods: [0, 1, 0, 1], names: ["real", "grid"])
    let alone = try ["a-1.h5", "c-1.h5", "c-2.h5", "c-3.h5"].map { try fingerprint($0).digest }
    #expect(Set(alone).count == 4)
  }

  @Test func aFingerprintTellsMasksApart() throws {
    func write(_ name: String, _ mask: (Int) -> [UInt8]?) throws {
      let writer = try ShardWriter(
        path: folder(name), height: 8, width: 10, methodNames: ["real", "blend"], hasSources: false,
        hasMasks: mask(0) != nil)
      for row in 0..<3 {
        try writer.append(
          image: KnownImage.pixels(row, height: 8, width: 10), method: row == 0 ? 0 : 1,
          mask: mask(row))
      }
      try writer.finish()
    }
    try write("none.h5") { _ in nil }
    try write("same.h5") { ShardFixtures.mask($0, height: 8, width: 10) }
    try write("again.h5") { ShardFixtures.mask($0, height: 8, width: 10) }
    try write("other.h5") { ShardFixtures.mask($0 + 1, height: 8, width: 10) }
    func digest(_ name: String) throws -> UInt64 {
      try ShardSet(patterns: [folder(name)]).fingerprint().digest
    }
    let digests = try ["none.h5", "same.h5", "other.h5"].map(digest)
    #expect(Set(digests).count == 3)
    #expect(try digest("again.h5") == digests[1])
  }

  @Test func aCropThatDoesNotFitIsRefused() throws {
    try ShardFixtures.write(folder("a.h5"), methods: [0, 1])
    let set = try ShardSet(patterns: [folder("a.h5")])
    try set.checkFits(crop: 8)
    let message = ShardFixtures.message { try set.checkFits(crop: 9) }
    #expect(message?.contains("a crop of 9 pixels does not fit into images of 8x10") == true)
  }

  @Test func aRankWithoutAShardIsNamed() throws {
    try ShardFixtures.write(folder("a.h5"), methods: [0, 1])
    let set = try ShardSet(patterns: [folder("a.h5")])
    let seen = try [set.identities(), set.identities()]
    let message = ShardFixtures.message { _ = try set.assigned(rank: 0, seen: seen) }
    #expect(message?.contains("there are 1 shards for 2 ranks") == true)
  }
}
