import Foundation
import Synchronization
import TestSupport
import Testing

@testable import FaceShards
@testable import Foundations
@testable import Images
@testable import MessagePassing

@Suite struct PackerTests {
  /// Ranks that are threads of this process.
  final class ThreadRanks: Sendable {
    struct Member: RankGroup {
      let job: ThreadRanks
      let rank: Int
      var size: Int { job.size }
      func broadcast(_ bytes: [UInt8]) -> [UInt8] { allGatherUnequal(bytes)[0] }
      func allGatherUnequal(_ bytes: [UInt8]) -> [[UInt8]] { job.exchange(rank, bytes) }
    }

    let size: Int
    private let condition = NSCondition()
    private let state: Mutex<(parts: [[UInt8]?], results: [[UInt8]], round: Int)>

    init(size: Int) {
      self.size = size
      state = Mutex((Array(repeating: nil, count: size), [], 0))
    }

    func exchange(_ rank: Int, _ bytes: [UInt8]) -> [[UInt8]] {
      condition.lock()
      defer { condition.unlock() }
      let round = state.withLock { state in
        state.parts[rank] = bytes
        if state.parts.allSatisfy({ $0 != nil }) {
          state.results = state.parts.map { $0! }
          state.parts = Array(repeating: nil, count: size)
          state.round += 1
          condition.broadcast()
          return state.round - 1
        }
        return state.round
      }
      while state.withLock({ $0.round }) == round { condition.wait() }
      return state.withLock { $0.results }
    }

    func run<Value: Sendable>(_ body: @escaping @Sendable (Member) throws -> Value) -> [Result<
      Value, any Error
    >] {
      let results = Results<Value>(size: size)
      // Threads of their own: the ranks wait for one another, so all must run at once.
      let done = DispatchGroup()
      for rank in 0..<size {
        done.enter()
        Thread.detachNewThread {
          let result = Result { try body(Member(job: self, rank: rank)) }
          results.store(result, at: rank)
          done.leave()
        }
      }
      done.wait()
      return results.all
    }
  }

  final class Results<Value: Sendable>: Sendable {
    private let values: Mutex<[Result<Value, any Error>?]>
    init(size: Int) { values = Mutex(Array(repeating: nil, count: size)) }
    func store(_ result: Result<Value, any Error>, at rank: Int) {
      values.withLock { $0[rank] = result }
    }
    var all: [Result<Value, any Error>] { values.withLock { $0.map { $0! } } }
  }

  /// A folder of images of mixed kinds and sizes: `people` sources, real and by two methods.
  private func faces(_ people: Int) throws -> TemporaryFolder {
    let folder = TemporaryFolder()
    for person in 0..<people {
      for (kind, place) in ["real", "fake/swap", "fake/mouth"].enumerated() {
        let image = KnownImage.pattern(width: 20 + person, height: 31 - kind)
        let bytes =
          switch (person + kind) % 3 {
          case 0: try PNGCodec.encode(image)
          case 1: try JPEGCodec.encode(image, quality: 90)
          default: Array("P6 \(image.width) \(image.height) 255\n".utf8) + image.pixels
          }
        try folder.write("\(place)/id\(person)/frame.img", bytes)
      }
    }
    return folder
  }

  private func settings(_ input: TemporaryFolder, _ output: TemporaryFolder) -> PackSettings {
    var settings = PackSettings(input: input.path, output: output.path + "/shards")
    settings.size = 16
    settings.imagesPerShard = 10
    settings.threads = 2
    return settings
  }

  private func files(_ folder: String) throws -> [String: Data] {
    var all: [String: Data] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
      all[name] = try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name))
    }
    return all
  }

  @Test func imagesOfMixedKindsBecomeShardsOfResizedSquares() throws {
    let (input, output) = (try faces(20), TemporaryFolder())
    let report = try Packer.pack(settings(input, output))
    #expect(report.methods == ["real", "mouth", "swap"])
    #expect(report.splits.map(\.name) == ["train", "validation", "test"])
    #expect(report.splits.map(\.counts) == [[14, 14, 14], [3, 3, 3], [3, 3, 3]])
    #expect(report.skipped.isEmpty)
    #expect(report.splits[0].shards.count == 5)
    var sources: [String: Set<String>] = [:]
    var seen = 0
    for split in report.splits {
      for path in split.shards {
        #expect((path as NSString).lastPathComponent.hasPrefix(split.name + "-0000"))
        let shard = try Shard(reading: path)
        #expect(shard.height == 16 && shard.width == 16)
        let (paths, names) = (
          try #require(try shard.readPaths()), try #require(try shard.readSources())
        )
        var pixels = [UInt8](repeating: 0, count: shard.imageSize)
        for row in 0..<shard.count {
          let method = shard.methodNames[Int(shard.methods[row])]
          #expect(paths[row].hasPrefix(method == "real" ? "real/" : "fake/\(method)/"))
          #expect(shard.labels[row] == (method == "real" ? 0 : 1))
          sources[names[row], default: []].insert(split.name)
          try pixels.withUnsafeMutableBufferPointer { try shard.readImage(row, into: $0) }
          let image = try ImageDecoder.decode(path: input.path + "/" + paths[row])
          let expected = ImageResize.bilinear(image.centreSquare(), width: 16, height: 16)
          #expect(pixels == expected.pixels)
          seen += 1
        }
      }
    }
    #expect(seen == 60 && sources.count == 20 && sources.values.allSatisfy { $0.count == 1 })
  }

  @Test func theShardsAreTheSameOnAnyNumberOfRanksAndThreads() throws {
    let input = try faces(12)
    try input.write("real/id3/broken.jpg", [0xFF, 0xD8, 0xFF, 0xE0])
    var expected: (files: [String: Data], report: [String])?
    for (size, threads) in [(1, 1), (1, 3), (2, 1), (3, 2)] {
      // Across a change of second, which no byte may show.
      usleep(300_000)
      let output = TemporaryFolder()
      var settings = settings(input, output)
      settings.threads = threads
      let chosen = settings
      let reports = try ThreadRanks(size: size).run { try Packer.pack(chosen, ranks: $0) }
        .map { try $0.get() }
      #expect(reports.allSatisfy { $0 == reports[0] })
      #expect(reports[0].skipped.map(\.path) == ["real/id3/broken.jpg"])
      let found = try files(settings.output)
      let lines = reports[0].splits.map { "\($0.name) \($0.counts) \($0.shards.count)" }
      if let expected {
        #expect(Set(found.keys) == Set(expected.files.keys) && lines == expected.report)
        for (name, data) in found { #expect(data == expected.files[name], "\(name)") }
      } else {
        expected = (found, lines)
      }
    }
  }

  @Test func brokenImagesArePassedOverNamedAndCounted() throws {
    let (input, output) = (try faces(12), TemporaryFolder())
    let whole = try ImageGolden.bytes("jpeg-444.jpg")
    try input.write("fake/swap/id1/cut.jpg", Array(whole[..<400]))
    try input.write("fake/swap/id2/notes.txt", Array("hello".utf8))
    try input.write("real/id2/empty.png", [])
    let report = try Packer.pack(settings(input, output))
    #expect(
      report.skipped.map(\.path) == [
        "fake/swap/id1/cut.jpg", "fake/swap/id2/notes.txt", "real/id2/empty.png",
      ])
    #expect(report.skipped[1].reason == "not an image (\(ImageFormat.readable))")
    #expect(report.splits.flatMap(\.counts).reduce(0, +) == 36)
    #expect(report.remarks.last == "3 of 39 files give no face and are not packed")
    #expect(report.remarks.contains("real/id2/empty.png: the file is empty; passed over"))
    #expect(report.table.hasPrefix("split       shards  images  real  mouth  swap\ntrain "))
  }

  @Test(arguments: [1, 3])
  func strictPackingStopsAtABrokenImageAndLeavesNothing(size: Int) throws {
    let (input, output) = (try faces(12), TemporaryFolder())
    try input.write("fake/swap/id1/notes.txt", Array("hello".utf8))
    var settings = settings(input, output)
    settings.isStrict = true
    let chosen = settings
    for result in ThreadRanks(size: size).run({ try Packer.pack(chosen, ranks: $0) }) {
      let error = try #require(throws: (any Error).self) { _ = try result.get() }
      #expect(ExitStatus(ending: error) == .badData)
      #expect("\(error)".contains("fake/swap/id1/notes.txt: not an image"))
    }
    #expect(!FileManager.default.fileExists(atPath: settings.output))
  }

  @Test func aClassWithoutASingleReadableImageIsAnError() throws {
    let output = TemporaryFolder()
    let input = TemporaryFolder()
    for index in 0..<9 {
      try input.write("real/\(index).png", [1, 2, 3])
      try input.write("fake/m/\(index).ppm", ImageGolden.bytes("pnm-6.ppm"))
    }
    let error = try #require(throws: PackError.self) {
      try Packer.pack(settings(input, output))
    }
    #expect(
      error.description.contains("real files for split train give a face; the first is real/"))
    #expect(error.description.contains("not an image"))
    #expect(!FileManager.default.fileExists(atPath: output.path + "/shards"))
  }

  @Test func shardsThatAreThereStayUnlessOverwritten() throws {
    let (input, output) = (try faces(12), TemporaryFolder())
    var settings = settings(input, output)
    settings.imagesPerShard = 4
    _ = try Packer.pack(settings)
    let before = try files(settings.output)
    let error = try #require(throws: PackError.self) { try Packer.pack(settings) }
    #expect(error.description.contains("--overwrite"))
    #expect(try files(settings.output) == before)

    try FileManager.default.createDirectory(
      atPath: settings.output + "/.packing", withIntermediateDirectories: false)
    try Data("kept".utf8).write(to: URL(fileURLWithPath: settings.output + "/other.h5"))
    settings.overwrites = true
    settings.imagesPerShard = 100
    let report = try Packer.pack(settings)
    #expect(report.splits.allSatisfy { $0.shards.count == 1 })
    #expect(
      try files(settings.output).keys.sorted() == [
        "other.h5", "test-00000.h5", "train-00000.h5", "validation-00000.h5",
      ])
  }

  /// Asks for the end once `calls` questions were answered with no.
  private final class Patience: Sendable {
    private let left: Mutex<Int>
    init(_ calls: Int) { left = Mutex(calls) }
    func isCancelled() -> Bool {
      left.withLock {
        $0 -= 1
        return $0 < 0
      }
    }
  }

  @Test(arguments: [1, 2])
  func whatWasDoneBeforeTheEndIsNotDoneAgain(size: Int) throws {
    let (input, whole, output) = (try faces(40), TemporaryFolder(), TemporaryFolder())
    _ = try Packer.pack(settings(input, whole))
    var chosen = settings(input, output)
    chosen.threads = 1
    let settings = chosen
    var (ended, read) = (0, 0)
    for patience in 0..<100 {
      let announced = Mutex<[String]>([])
      let results = ThreadRanks(size: size).run { member in
        let patience = Patience(member.rank == size - 1 ? patience / 3 : 1_000_000)
        return try Packer.pack(
          settings, ranks: member, isCancelled: patience.isCancelled,
          announce: { line in announced.withLock { $0.append(line) } })
      }
      let lines = announced.withLock { $0 }
      #expect(lines[0].hasPrefix("120 images: 120 faces, "))
      if ended > 0, let going = lines.first(where: { $0.hasPrefix("going on: ") }) {
        let count = try #require(Int(going.split(separator: " ")[2]))
        #expect(count >= read, "nothing that was finished is lost")
        read = count
      }
      guard case .failure(let error) = results[size - 1] else { break }
      #expect(ExitStatus(ending: error) == .stopped)
      ended += 1
    }
    #expect(ended > 0 && ended < 100)
    #expect(
      try files(settings.output)
        == files(whole.path + "/shards"), "the same shards as of a run that never ended")
  }

  /// Leaves what a run that was killed leaves: parts of units and complete shards.
  private func begin(_ settings: PackSettings, units: Int) throws -> PackStaging {
    let output = try ShardOutput(opening: settings.output)
    let (plan, _, recipe) = try Packer.stage(settings, output, {})
    let staging = PackStaging(folder: output.staging, row: recipe.row)
    let reader = try FaceReader(recipe)
    for number in 0..<units {
      try PackPart.write(to: staging.part(number), row: staging.row) { part in
        try zip(plan.unit(number).items, plan.files(of: number)).map { item, file in
          try reader.read(
            file.path(below: BytePath(settings.input)), file, number: item, isStopped: { false },
            store: { try part.append($0, of: item) })
        }
      }
    }
    return staging
  }

  @Test func whatHasChangedOrIsDamagedIsReadAgain() throws {
    let (input, whole, output) = (try faces(20), TemporaryFolder(), TemporaryFolder())
    let settings = settings(input, output)
    let staging = try begin(settings, units: 4)
    // One that was cut off, one of a file that has changed, one that isn't flushed.
    let part = try #require(FileManager.default.contents(atPath: staging.part(0)))
    try part.dropLast(40).write(to: URL(fileURLWithPath: staging.part(0)))
    let plan = try Packer.prepare(
      settings, try ShardOutput(opening: TemporaryFolder().path), {})
    let changed = plan.files(plan.units[1].items)[0].path(below: BytePath(settings.input))
    let picture = try PNGCodec.encode(KnownImage.pattern(width: 50, height: 50))
    try Data(picture).write(to: URL(fileURLWithPath: changed.description))
    try Data(repeating: 0, count: part.count).write(to: URL(fileURLWithPath: staging.part(2)))
    var lines: [String] = []
    _ = try Packer.pack(settings, announce: { lines.append($0) })
    #expect(lines.last == "going on: \(plan.units[3].items.count) of 60 files were read before")
    _ = try Packer.pack(self.settings(input, whole))
    #expect(try files(settings.output) == files(whole.path + "/shards"))
  }

  @Test func whatIsDamagedInsideIsRefusedAndSaid() throws {
    let (input, output) = (try faces(20), TemporaryFolder())
    let settings = settings(input, output)
    let staging = try begin(settings, units: 2)
    var part = try #require(FileManager.default.contents(atPath: staging.part(0)))
    part[100] ^= 1
    try part.write(to: URL(fileURLWithPath: staging.part(0)))
    let error = try #require(throws: ShardError.self) { try Packer.pack(settings) }
    #expect(error.file == staging.part(0) && error.isInputOutput)
    #expect(FileManager.default.fileExists(atPath: staging.part(1)), "the rest is kept")
  }

  @Test func unfinishedWorkWithOtherSettingsIsBegunAnew() throws {
    let (input, whole, output) = (try faces(20), TemporaryFolder(), TemporaryFolder())
    var settings = settings(input, output)
    _ = try begin(settings, units: 3)
    settings.size = 12
    var lines: [String] = []
    _ = try Packer.pack(settings, announce: { lines.append($0) })
    #expect(lines.last?.contains("is begun anew") == true)
    var other = self.settings(input, whole)
    other.size = 12
    _ = try Packer.pack(other)
    #expect(try files(settings.output) == files(whole.path + "/shards"))
  }

  /// Who is refused must not let the next one in.
  @Test func onlyOnePackingWritesIntoAFolder() throws {
    let (input, output) = (try faces(12), TemporaryFolder())
    let settings = settings(input, output)
    var refusals = 0
    var hasTried = false
    let report = try Packer.pack(
      settings,
      progress: { done, _ in
        guard done == 0, !hasTried else { return }
        hasTried = true
        for _ in 0..<3 {
          do {
            _ = try Packer.pack(settings)
          } catch {
            #expect(ExitStatus(ending: error) == .usage)
            if "\(error)".contains("another rfm pack") { refusals += 1 }
          }
        }
      })
    #expect(refusals == 3)
    #expect(report.splits.flatMap(\.counts).reduce(0, +) == 36)
    let shards = Set(report.splits.flatMap(\.shards).map { ($0 as NSString).lastPathComponent })
    #expect(try Set(files(settings.output).keys) == shards)
  }

  /// The image named is one of those that are missing, not any that can't be read.
  @Test func ofASplitWithoutReadableImagesTheRightOneIsNamed() throws {
    let (input, output) = (TemporaryFolder(), TemporaryFolder())
    let picture = try ImageGolden.bytes("pnm-6.ppm")
    for split in ["train", "valid"] {
      for place in ["real/a.ppm", "real/b.ppm", "fake/m/a.ppm"] {
        try input.write("\(split)/\(place)", picture)
      }
    }
    try input.write("train/real/0.ppm", Array("hello".utf8))
    for name in ["a.ppm", "b.ppm"] { try input.write("valid/real/\(name)", []) }
    let error = try #require(throws: PackError.self) {
      try Packer.pack(settings(input, output))
    }
    #expect(
      error.description
        == "none of the 2 real files for split validation give a face; the first"
        + " is valid/real/a.ppm: the file is empty")
    #expect(!FileManager.default.fileExists(atPath: output.path + "/shards"))
  }

  /// What is missing is why there is too little, and is said.
  @Test func linksThatLeadNowhereAreNamedWhereImagesAreMissing() throws {
    let (input, output) = (TemporaryFolder(), TemporaryFolder())
    for kind in ["real", "fake/m"] {
      try input.write("\(kind)/v0/0.ppm", ImageGolden.bytes("pnm-6.ppm"))
      try FileManager.default.createSymbolicLink(
        atPath: "\(input.path)/\(kind)/v1", withDestinationPath: "/nowhere/v1")
    }
    let error = try #require(throws: PackError.self) {
      try Packer.pack(settings(input, output))
    }
    #expect(error.description.contains("too few sources"))
    #expect(error.description.contains("2 links that lead nowhere"))
    #expect(error.description.contains("real/v1 (/nowhere/v1)"))
  }

  @Test func shardsOfOtherSplitsThatStayAreSaid() throws {
    let (input, output) = (try faces(12), TemporaryFolder())
    try output.write("shards/dev-00000.h5", [1])
    let report = try Packer.pack(settings(input, output))
    #expect(report.notes.contains { $0.contains("1 shards of other splits, such as dev-00000.h5") })
  }

  @Test func namesOfAnyBytesArePacked() throws {
    let (input, output) = (try faces(12), TemporaryFolder())
    let path = BytePath(input.path + "/real/id1").appending([0xFF, 0x41])
    let content = try ImageGolden.bytes("pnm-6.ppm")
    let descriptor = path.withCString { open($0, O_WRONLY | O_CREAT, 0o600) }
    #expect(
      content.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } == content.count)
    close(descriptor)
    let report = try Packer.pack(settings(input, output))
    #expect(report.skipped.isEmpty)
    let paths = try report.splits.flatMap(\.shards).flatMap {
      try #require(try Shard(reading: $0).readPaths())
    }
    #expect(paths.contains("real/id1/\\xFFA"))
  }

  @Test func compressedShardsHoldTheSameImages() throws {
    let input = try faces(9)
    func pixels(_ gzip: Int?) throws -> [[UInt8]] {
      let output = TemporaryFolder()
      var settings = settings(input, output)
      settings.gzip = gzip
      return try Packer.pack(settings).splits.flatMap(\.shards).map { path in
        let shard = try Shard(reading: path)
        var all = [UInt8]()
        var image = [UInt8](repeating: 0, count: shard.imageSize)
        for row in 0..<shard.count {
          try image.withUnsafeMutableBufferPointer { try shard.readImage(row, into: $0) }
          all += image
        }
        return all
      }
    }
    #expect(try pixels(4) == pixels(nil))
  }
}
