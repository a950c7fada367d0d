import Foundation
import Testing

@testable import FaceShards

/// `rfm pack` as users run it.
@Suite(.serialized) struct PackJobs {
  /// Folders of small PPM images, some of them broken.
  private final class Faces {
    let path = NSTemporaryDirectory() + "rfm-pack-" + UUID().uuidString

    init(people: Int = 20, side: Int = 40) throws {
      for person in 0..<people {
        for (kind, folder) in ["real", "fake/swap", "fake/mouth"].enumerated() {
          let header = Array("P6 \(side) \(side) 255\n".utf8)
          let pixels = (0..<side * side * 3).map { UInt8(($0 * (person + 3) + kind * 77) & 255) }
          try write("\(folder)/id\(person)/frame", header + pixels)
        }
      }
    }

    func write(_ name: String, _ bytes: [UInt8]) throws {
      let file = URL(fileURLWithPath: path + "/in/" + name)
      try FileManager.default.createDirectory(
        at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(bytes).write(to: file)
    }

    var arguments: [String] {
      ["pack", "--input", path + "/in", "--size", "24", "--images-per-shard", "10"]
    }

    func files(_ folder: String) throws -> [String: Data] {
      var all: [String: Data] = [:]
      for name in try FileManager.default.contentsOfDirectory(atPath: path + "/" + folder) {
        all[name] = try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(folder)/\(name)"))
      }
      return all
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  @Test func anyNumberOfRanksMakesTheSameBytes() throws {
    let faces = try Faces()
    try faces.write("real/id3/notes.txt", Array("hello".utf8))
    var alone: (files: [String: Data], output: String)?
    for ranks in [nil, 1, 2, 4] as [Int?] {
      let folder = "out-\(ranks ?? 0)"
      let outcome = try Job.run(
        "rfm", faces.arguments + ["--output", faces.path + "/" + folder], ranks: ranks)
      #expect(outcome.succeeded, "\(outcome)")
      #expect(outcome.standardError.hasPrefix("61 images: 61 faces, "), "\(outcome)")
      #expect(
        outcome.lines(from: "rfm") == [
          "rfm: real/id3/notes.txt: not an image (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIF or PNM);"
            + " passed over",
          "rfm: 1 of 61 files give no face and are not packed",
        ], "\(outcome)")
      let files = try faces.files(folder)
      if let alone {
        #expect(files == alone.files && outcome.standardOutput == alone.output)
      } else {
        #expect(files.count >= 6 && outcome.standardOutput.hasPrefix("split "))
        alone = (files, outcome.standardOutput)
      }
    }
  }

  @Test(arguments: [nil, 3] as [Int?])
  func errorsAreOneLineWithTheirStatusAndLeaveNothing(ranks: Int?) throws {
    let faces = try Faces()
    try faces.write("fake/swap/id7/cut", Array("P6 40 40 255\nabc".utf8))
    for (arguments, status, part) in [
      // The rank that has read the image says so; what all find, rank 0.
      (["--strict"], 65, "fake/swap/id7/cut: damaged PNM"),
      (["--split", "train=0.5"], 64, "add up to 0.5"),
      (["--input", faces.path + "/missing"], 74, "missing: can't be opened"),
      (["--input", faces.path + "/in/real"], 65, "no images in real/"),
    ] as [([String], Int32, String)] {
      let outcome = try Job.run(
        "rfm", faces.arguments + arguments + ["--output", faces.path + "/out"], ranks: ranks)
      #expect(outcome.status == status, "\(outcome)")
      #expect(outcome.leftovers.isEmpty && !outcome.timedOut, "\(outcome)")
      let lines = outcome.lines(from: "rfm")
      let place = ranks == nil ? "" : arguments == ["--strict"] ? "rank " : "rank 0: "
      #expect(lines.count == 1 && lines[0].hasPrefix("rfm: \(place)"), "\(outcome)")
      #expect(lines.first?.contains(part) == true, "\(outcome)")
      #expect((try? faces.files("out"))?.isEmpty != false)
    }
  }

  @Test(arguments: [SIGINT, SIGTERM])
  func aStoppedPackingDiesOfTheSignalAndGoesOn(signal: Int32) throws {
    let faces = try Faces(people: 300, side: 300)
    let arguments = faces.arguments + ["--output", faces.path + "/out", "--threads", "1"]
    let job = try Job("rfm", arguments)
    #expect(
      job.wait { _ in FileManager.default.fileExists(atPath: faces.path + "/out/.packing/0.done") })
    job.signal(signal)
    let outcome = job.wait()
    #expect(outcome.status == 128 + signal, "\(outcome)")
    #expect(try faces.files("out/.packing").keys.contains("0.done"), "what is finished stays")
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: faces.path + "/out").allSatisfy {
        $0.hasPrefix(".")
      }, "no shard has its name before all have")
    let next = try Job.run("rfm", arguments)
    #expect(next.succeeded, "\(next)")
    #expect(next.standardError.contains("\ngoing on: "), "\(next)")
    #expect(try faces.files("out").keys.allSatisfy { $0.hasSuffix(".h5") })
  }

  /// How often a packing is killed; `RFM_PACK_KILLS` says otherwise.
  private static let kills =
    ProcessInfo.processInfo.environment["RFM_PACK_KILLS"].flatMap { Int($0) } ?? 6

  /// At random moments, on one rank and on several: whenever it dies, the next goes on, and the shards are
  /// those of one that was never killed.
  @Test func aPackingThatIsKilledAgainAndAgainMakesTheSameShards() throws {
    let faces = try Faces(people: 120, side: 120)
    let whole = try Job.run("rfm", faces.arguments + ["--output", faces.path + "/whole"])
    #expect(whole.succeeded, "\(whole)")
    let expected = try faces.files("whole")
    var draws = SystemRandomNumberGenerator()
    var (kills, round, wentOn) = (0, 0, 0)
    while kills < Self.kills {
      let output = ["--output", faces.path + "/out-\(round)", "--threads", "2"]
      for attempt in 0...8 {
        let ranks = [nil, 2, 3][Int.random(in: 0..<3, using: &draws)]
        let job = try Job("rfm", faces.arguments + output, ranks: ranks)
        // Mostly while it works: a packing here takes a second or so.
        let moment = Date().addingTimeInterval(
          Double.random(in: 0.05...(ranks == nil ? 1 : 2), using: &draws))
        if attempt < 8, kills < Self.kills,
          job.wait(until: { _ in
            Date() >= moment && (ranks == nil || job.ranks().count == ranks)
          }), job.isRunning
        {
          for process in ranks == nil ? [job.pid] : Array(job.ranks().values) {
            kill(process, SIGKILL)
          }
          _ = job.wait()
          kills += 1
          continue
        }
        let outcome = job.wait()
        // The one before may have been killed when its shards had their names already.
        let wasDone =
          attempt > 0 && outcome.status == 64
          && outcome.standardError.contains("shards already, such as ")
        #expect(outcome.succeeded || wasDone, "\(outcome)")
        if outcome.standardError.contains("going on: ") { wentOn += 1 }
        break
      }
      #expect(try faces.files("out-\(round)") == expected)
      round += 1
    }
    print("\(kills) kills of \(round) packings, of which \(wentOn) went on at the last start")
  }

  /// How often jobs are started at once; `RFM_PACK_TRIALS` says otherwise.
  private static let trials =
    ProcessInfo.processInfo.environment["RFM_PACK_TRIALS"].flatMap { Int($0) } ?? 10

  /// Names of all shards in a folder, and the height of their images, which must be one.
  private func shards(_ folder: String) throws -> (names: Set<String>, height: Int) {
    let set = try ShardSet(patterns: [folder + "/*.h5"])
    return (Set(set.shards.map { ($0.path as NSString).lastPathComponent }), set.height)
  }

  /// Three at once into one folder: who is refused takes nothing away from who isn't.
  @Test(arguments: [false, true])
  func ofThreePackingsAtOnceOneWinsWhole(overwrite: Bool) throws {
    let faces = try Faces()
    let whole = try Job.run("rfm", faces.arguments + ["--output", faces.path + "/alone"])
    #expect(whole.succeeded, "\(whole)")
    let expected = try shards(faces.path + "/alone").names
    for trial in 0..<Self.trials {
      let folder = faces.path + "/out-\(overwrite ? 0 : trial)"
      // Slow enough that the others come while the first is at work.
      let sizes = [320, 336, 352]
      let jobs = try sizes.map { size in
        try Job(
          "rfm",
          faces.arguments + [
            "--size", "\(size)", "--gzip", "6", "--threads", "1", "--output", folder,
          ] + (overwrite ? ["--overwrite"] : []))
      }
      let outcomes = jobs.map { $0.wait() }
      let winners = zip(sizes, outcomes).filter { $1.status == 0 }.map(\.0)
      #expect(overwrite ? !winners.isEmpty : winners.count == 1, "\(outcomes)")
      for outcome in outcomes where outcome.status != 0 {
        #expect(outcome.status == 64, "\(outcome)")
        let lines = outcome.lines(from: "rfm")
        #expect(lines.count == 1, "\(outcome)")
        #expect(
          lines.first?.contains("another rfm pack") == true
            || !overwrite && lines.first?.contains("shards already") == true, "\(outcome)")
      }
      let found = try shards(folder)
      #expect(found.names == expected && winners.contains(found.height))
      #expect(try Set(FileManager.default.contentsOfDirectory(atPath: folder)) == expected)
    }
  }

  /// Killed at any moment, above all while shards take their names: all are old or all are new.
  @Test func aKilledReplacementLeavesOneDataSet() throws {
    let faces = try Faces()
    let folder = faces.path + "/out"
    func arguments(_ size: Int) -> [String] {
      faces.arguments + [
        "--images-per-shard", "1", "--size", "\(size)", "--output", folder,
      ]
    }
    var size = 16
    let first = try Job.run("rfm", arguments(size))
    #expect(first.succeeded, "\(first)")
    let names = try shards(folder).names
    #expect(names.count == 60)
    for trial in 0..<16 {
      let next = size == 16 ? 24 : 16
      let job = try Job("rfm", arguments(next) + ["--overwrite"])
      if trial % 4 > 0 {
        // While names are taken, which lasts a few milliseconds.
        while access(folder + "/.packing/commit", F_OK) != 0, job.isRunning {}
        usleep(UInt32.random(in: 0..<2000))
      } else {
        usleep(UInt32.random(in: 0..<1_000_000))
      }
      job.signal(SIGKILL)
      _ = job.wait()
      do {
        let found = try shards(folder)
        #expect(found.names == names && [size, next].contains(found.height))
        size = found.height
      } catch let error as ShardError {
        #expect(error.description.contains("being replaced"), "\(error)")
        // Whatever is packed into the folder next completes it, even what is refused itself.
        let refused = try Job.run("rfm", arguments(next))
        #expect(refused.status == 64 && refused.standardError.contains("--overwrite"), "\(refused)")
        let found = try shards(folder)
        #expect(found.names == names && found.height == next)
        size = next
      }
    }
    let last = try Job.run("rfm", arguments(32) + ["--overwrite"])
    #expect(last.succeeded, "\(last)")
    #expect(try Set(FileManager.default.contentsOfDirectory(atPath: folder)) == names)
  }

  @Test func whatIsLeftOutIsSaid() throws {
    let faces = try Faces()
    try faces.write("extra/real/a.ppm", Array("P6 40 40 255\n".utf8))
    try faces.write("list.txt", Array("x".utf8))
    let output = ["--output", faces.path + "/out"]
    let refused = try Job.run("rfm", faces.arguments + output)
    #expect(refused.status == 65, "\(refused)")
    #expect(refused.standardError.contains("extra/real/a.ppm"), "\(refused)")
    #expect(!FileManager.default.fileExists(atPath: faces.path + "/out"))
    let mistyped = try Job.run("rfm", faces.arguments + output + ["--skip", "extras/*"])
    #expect(mistyped.status == 64, "\(mistyped)")
    let packed = try Job.run("rfm", faces.arguments + output + ["--skip", "extra/*"])
    #expect(packed.succeeded, "\(packed)")
    #expect(
      packed.lines(from: "rfm") == [
        "rfm: --skip 'extra/*': 1 files left out",
        "rfm: list.txt: outside real/ and fake/; passed over",
      ], "\(packed)")
  }
}
