import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Foundations

@Suite struct PackPlanTests {
  private func layout(_ paths: [String]) throws -> PackLayout {
    try PackLayout(files: paths.map { BytePath($0) }.sorted(), folder: "faces")
  }

  /// `people` sources with `images` real images each and as many of two methods.
  private func people(_ people: Int, images: Int) -> [String] {
    (0..<people).flatMap { person in
      (0..<images).flatMap { image in
        ["real", "fake/swap", "fake/mouth"].map { "\($0)/id\(person)/\(image).png" }
      }
    }
  }

  private func plan(_ paths: [String], shares: SplitShares? = nil, seed: UInt64 = 0) throws
    -> PackPlan
  {
    PackPlan(
      try SplitAssignment(layout: layout(paths), shares: shares, seed: seed), seed: seed,
      imagesPerShard: 50)
  }

  @Test func foldersNameClassMethodAndSource() throws {
    let found = try layout([
      "real/a.png", "real/video7/001.jpg", "real/video7/deep/er/002.jpg", "fake/swap/a.b.png",
      "fake/swap/video7/001.png", "fake/mouth/noextension", "README.txt",
    ])
    #expect(found.methods == ["real", "mouth", "swap"])
    #expect(found.splits.isEmpty)
    let described = found.candidates.map {
      "\($0.path) \(found.methods[$0.method]) \(found.sources[$0.source])"
    }
    #expect(
      described == [
        "fake/mouth/noextension mouth noextension", "fake/swap/a.b.png swap a.b",
        "fake/swap/video7/001.png swap video7", "real/a.png real a",
        "real/video7/001.jpg real video7", "real/video7/deep/er/002.jpg real video7",
      ])
    #expect(found.notes == ["README.txt: outside real/ and fake/; passed over"])
  }

  @Test func splitFoldersAreUsedAndNamedInTheUsualOrder() throws {
    let found = try layout([
      "test/real/a.png", "test/fake/m/b.png", "train/real/c.png", "train/fake/m/d.png",
      "val/real/e.png", "val/fake/m/f.png",
    ])
    #expect(found.splits == ["train", "validation", "test"])
    let plan = PackPlan(
      try SplitAssignment(layout: found, shares: .standard, seed: 0), seed: 0, imagesPerShard: 10)
    #expect(plan.shards.map(\.split) == [0, 1, 2])
    #expect(
      Set(plan.items[plan.shards[1].range].map(\.path.description)) == [
        "val/real/e.png", "val/fake/m/f.png",
      ])
    #expect(plan.notes.contains { $0.contains("--split is not used") })
  }

  @Test func fakesWithoutMethodFoldersAreOneMethod() throws {
    let found = try layout(["real/a.png", "fake/b.png", "fake/c.png"])
    #expect(found.methods == ["real", "fake"])
  }

  @Test(arguments: [
    ([], "no images in real/"), (["a.png"], "no images in real/"),
    (["real/a.png"], "no fake images"), (["fake/m/a.png"], "no real images"),
    (["real/a.png", "train/fake/m/b.png"], "in a split's folder and real/a.png is not"),
    (["real/a.png", "fake/b.png", "fake/m/c.png"], "fake/b.png lies directly in fake/"),
    (["real/a.png", "fake/real/b.png"], "rename it"),
  ])
  func aLayoutThatMakesNoSenseIsExplained(paths: [String], part: String) throws {
    let error = try #require(throws: PackError.self) { try layout(paths) }
    #expect(error.description.hasPrefix("faces: ") && error.description.contains(part))
    #expect(!error.description.contains("\n"))
  }

  @Test func noSourceIsInTwoSplitsAndSharesAreKept() throws {
    let plan = try plan(people(40, images: 5))
    var splitsOf: [Int: Set<Int>] = [:]
    var counts = [0, 0, 0]
    for shard in plan.shards {
      counts[shard.split] += shard.range.count
      for item in plan.items[shard.range] { splitsOf[item.source, default: []].insert(shard.split) }
    }
    #expect(splitsOf.count == 40)
    #expect(splitsOf.values.allSatisfy { $0.count == 1 })
    #expect(counts == [420, 90, 90])
    #expect(plan.shards.allSatisfy { (40...50).contains($0.range.count) })
  }

  @Test func everyMethodKeepsItsShareOfEverySplit() throws {
    // Sources that belong to one class only, as when stems name them.
    let paths =
      (0..<200).map { "real/r\($0).png" } + (0..<100).map { "fake/a/a\($0).png" }
      + (0..<60).map { "fake/b/b\($0).png" }
    let plan = try plan(paths)
    for (method, total) in [200, 100, 60].enumerated() {
      for (split, share) in [0.7, 0.15, 0.15].enumerated() {
        let count = plan.shards.filter { $0.split == split }.reduce(0) {
          $0 + plan.items[$1.range].filter { $0.method == method }.count
        }
        #expect(abs(Double(count) - share * Double(total)) <= 1.5)
      }
    }
  }

  @Test func everyShardHoldsEveryClassAndEveryImageIsThereOnce() throws {
    let paths = people(40, images: 5)
    let plan = try plan(paths)
    for shard in plan.shards {
      #expect(Set(plan.items[shard.range].map(\.method)) == [0, 1, 2])
    }
    #expect(plan.items.map(\.path.description).sorted() == paths.sorted())
    #expect(plan.shards.first!.range.lowerBound == 0)
    for (shard, next) in zip(plan.shards, plan.shards.dropFirst()) {
      #expect(shard.range.upperBound == next.range.lowerBound)
    }
  }

  @Test func theSeedAndNothingElseDecidesTheOrder() throws {
    let paths = people(20, images: 3)
    #expect(try plan(paths, seed: 3) == plan(paths.reversed(), seed: 3))
    #expect(try plan(paths, seed: 3) != plan(paths, seed: 4))
  }

  @Test func tooFewSourcesForTheSharesIsAnError() throws {
    let error = try #require(throws: PackError.self) { try plan(people(2, images: 3)) }
    #expect(error.description.contains("too few sources"))
  }

  @Test func aPlanSurvivesItsJourneyAsBytes() throws {
    var plan = try plan(people(12, images: 2))
    plan.items[3].path = BytePath(bytes: [0x72, 0x2F, 0xFF, 0x0A, 0x80])
    plan.items[5].mask = BytePath(bytes: [0x6D, 0x2F, 0xFE])
    plan.items[7].isVideo = true
    plan.notes = ["one", "", "drei ✓"]
    let folder = TemporaryFolder()
    let staged = try StagedPlan(plan, in: folder.path)
    let other = StagedPlan(decoding: staged.encoded, in: folder.path)
    for known in [staged, other] {
      #expect(known.methods == plan.methods && known.splits == plan.splits)
      #expect(known.notes == plan.notes && known.shards == plan.shards)
      #expect(known.contents == PackContents(plan) && known.contents.videos == 1)
      #expect((0..<known.unitCount).map(known.unit) == plan.units)
      for (number, unit) in plan.units.enumerated() {
        #expect(try known.files(of: number) == plan.files(unit.items))
      }
      for shard in plan.shards.indices {
        let own = plan.units.indices.filter { plan.units[$0].shard == shard }
        #expect(Array(known.units(of: shard)) == own)
      }
    }
    #expect(other.encoded == staged.encoded)
  }

  @Test func filesThatAreToldOtherwiseThanPlannedAreRefused() throws {
    let folder = TemporaryFolder()
    let staged = try StagedPlan(plan(people(12, images: 2)), in: folder.path)
    let path = folder.path + "/files"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[bytes.count / 2] ^= 1
    try bytes.write(to: URL(fileURLWithPath: path))
    let error = #expect(throws: ShardError.self) {
      for unit in 0..<staged.unitCount { _ = try staged.files(of: unit) }
    }
    #expect(error?.description.contains(path) == true)
    try bytes.prefix(3).write(to: URL(fileURLWithPath: path))
    #expect(throws: ShardError.self) { try staged.files(of: staged.unitCount - 1) }
  }

  @Test func sharesAreReadAndBadOnesExplained() throws {
    let shares = try SplitShares(parsing: "train=0.8,test=0.2")
    #expect(shares.names == ["train", "test"] && shares.shares == [0.8, 0.2])
    for (text, part) in [
      ("train=0.8", "add up to 0.8"), ("train=0.5,test=0.6", "add up to"), ("train", "NAME=SHARE"),
      ("train=x,test=1", "NAME=SHARE"), ("train=0,test=1", "NAME=SHARE"), ("", "NAME=SHARE"),
      ("train=-1,test=2", "NAME=SHARE"), ("a=0.5,a=0.5", "given twice"),
      ("../x=0.5,b=0.5", "letters, digits"), ("a=0.5,b=0.5,", "NAME=SHARE"),
      ("a=nan,b=1", "NAME=SHARE"),
    ] {
      let error = try #require(throws: PackError.self) { try SplitShares(parsing: text) }
      #expect(error.description.contains(part), "\(text): \(error)")
    }
  }

  @Test func aMissingFolderIsAnErrorThatNamesIt() throws {
    let error = try #require(throws: PackError.self) {
      try FolderListing(of: BytePath("/nowhere/faces"))
    }
    #expect(error.description == "/nowhere/faces: can't be opened: No such file or directory")
  }
}
