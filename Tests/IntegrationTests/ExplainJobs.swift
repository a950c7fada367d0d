import Foundation
import Testing

@testable import Foundations
@testable import Images

extension Jobs {
  /// What a detector says of image files of every kind, size and number.
  @Suite struct Explain {
    private let folder: TestFolder
    private let checkpoint: String

    init() throws {
      folder = try TestFolder()
      checkpoint = try TinyRuns.checkpoint.get().path
    }

    private func explain(
      _ inputs: [String], ranks: Int? = nil, timeLimit: Double = 120
    ) throws -> Job.Outcome {
      try Job.run(
        "rfm", ["explain", "--checkpoint", checkpoint, "--threads", "1"] + inputs, ranks: ranks,
        timeLimit: timeLimit)
    }

    /// The same with a file as standard input.
    private func explain(_ inputs: [String], reading file: String, ranks: Int) throws -> Job.Outcome
    {
      try Job.run(
        "/bin/sh",
        [
          "-c", "exec mpirun -np \(ranks) --oversubscribe --bind-to none \"$0\" \"$@\" < '\(file)'",
          try Job.product("rfm"), "explain", "--checkpoint", checkpoint, "--threads", "1",
        ] + inputs)
    }

    private func lines(_ outcome: Job.Outcome) throws -> [JSON] {
      try outcome.standardOutput.split(separator: "\n").map { try JSON(parsing: Array($0.utf8)) }
    }

    /// Small pictures, all different, in so many folders of `folder`.
    private func pictures(_ count: Int) throws -> [String] {
      try (0..<count).map { number in
        let name = "faces/\(number / 250)/\(String(10_000 + number)).png"
        let path = folder.file(name)
        if number % 250 == 0 {
          try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        }
        var pixels = [UInt8](repeating: UInt8(number % 199), count: 12 * 10 * 3)
        for i in 0..<60 { pixels[i * 3] = UInt8((i * i + number) % 251) }
        try PNGCodec.write(RGBImage(width: 12, height: 10, pixels: pixels), to: path)
        return path
      }
    }

    @Test func aFolderOfThousandsStreamsInOrderWithProgressOnTwoRanks() throws {
      let paths = try pictures(2000)
      try folder.write("not an image", to: "faces/3/10800-note.txt")
      let outcome = try explain([folder.file("faces")], ranks: 2)
      #expect(outcome.succeeded, "\(outcome.status) \(outcome.standardError)")
      let told = try lines(outcome)
      #expect(told.map { $0["path"]?.textValue } == paths)
      #expect(Set(told.map { $0["logit_fake"]?.doubleValue }).count > 1000)
      #expect(outcome.standardError.contains("image "), "\(outcome.standardError)")
      #expect(outcome.standardError.contains("images/s"), "\(outcome.standardError)")
      #expect(outcome.standardError.contains("10800-note.txt: not an image"))
      #expect(outcome.standardError.contains("1 of 2001 files"))
      // One rank says the same of a part of them.
      let part = try explain([folder.file("faces/7")])
      #expect(part.succeeded)
      for (alone, together) in zip(try lines(part), told.suffix(250)) {
        #expect(alone["path"] == together["path"])
        let (a, b) = (alone["logit_fake"]?.doubleValue, together["logit_fake"]?.doubleValue)
        #expect(abs(try #require(a) - #require(b)) < 1e-4)
      }
    }

    @Test(arguments: [1, 3]) func standardInputIsAListOfFilesOrAnImage(ranks: Int) throws {
      let paths = try pictures(5)
      let more = try #require(paths.last)
      try folder.write(
        ([paths[2], folder.file("missing.png"), "", paths[0]] + ["\(paths[1])\r"])
          .joined(separator: "\n"), to: "list.txt")
      let listed = try explain([more, "-"], reading: folder.file("list.txt"), ranks: ranks)
      #expect(listed.succeeded, "\(listed)")
      #expect(
        try lines(listed).map { $0["path"]?.textValue } == [more, paths[2], paths[0], paths[1]])
      #expect(listed.standardError.contains("missing.png: can't be opened"), "\(listed)")

      // Separated by zero bytes, with a line break in a name, and a folder.
      let odd = folder.file("a\nb.png")
      try FileManager.default.copyItem(atPath: paths[3], toPath: odd)
      try folder.write("\(odd)\0\(folder.file("faces"))\0", to: "zeros")
      let zeros = try explain(["-"], reading: folder.file("zeros"), ranks: ranks)
      #expect(zeros.succeeded, "\(zeros)")
      #expect(
        try lines(zeros).map { $0["path"]?.textValue }
          == [odd.replacing("\n", with: "\\x0A")] + paths)

      // A picture, which is not rank 0's by its place.
      let image = try explain([more, "-"], reading: paths[0], ranks: ranks)
      #expect(image.succeeded, "\(image)")
      #expect(try lines(image).map { $0["path"]?.textValue } == [more, "-"])

      let nothing = try explain(["-"], reading: "/dev/null", ranks: ranks)
      #expect(nothing.isRefusal(65, "-: the file is empty"), "\(nothing)")
    }

    /// Names as file systems allow them: on both ranks each line has its own, exactly, and a terminal
    /// shows them as they are.
    @Test(arguments: [nil, 2]) func namesOfAnyKindAreToldExactly(ranks: Int?) throws {
      let image = try #require(try pictures(1).first)
      let names = [
        "\u{301}a.png", "\u{E9}.png", "e\u{301}.png", "x\u{202E}gnp.png", "s\u{200B}.png",
      ]
      for name in names {
        try FileManager.default.copyItem(atPath: image, toPath: folder.file(name))
      }
      try folder.write("hello", to: "\u{301}note\u{2066}.txt")
      let given = names + ["\u{301}note\u{2066}.txt"]
      let outcome = try Job.run(
        "rfm",
        ["explain", "--checkpoint", checkpoint, "--threads", "1", "--output", "out"] + given,
        ranks: ranks, directory: folder.path)
      #expect(outcome.succeeded, "\(outcome)")
      // By bytes: a mark may stand behind whatever separates lines.
      let told = try outcome.standardOutput.utf8.split(separator: UInt8(ascii: "\n")).map {
        try JSON(parsing: $0)
      }
      #expect(
        told.map { $0["path"]?.textValue.map { Array($0.utf8) } } == names.map { Array($0.utf8) })
      let pictures = told.flatMap { ($0["pictures"]?.members ?? []).compactMap(\.value.textValue) }
      #expect(Set(pictures).count == 25)
      #expect(folder.names("out").count == 25 + ["index.html", "prototypes"].count)
      #expect(outcome.standardError.contains("rfm: the pictures are on out/index.html"))
      let page = String(decoding: try bytes(folder.file("out/index.html")), as: UTF8.self)
      let sources = page.matches(of: /<img src="([^"]*)"/).map { String($0.1) }
      #expect(sources.count == 5 * 5 + folder.names("out/prototypes").count)
      for source in sources {
        let name = try #require(source.removingPercentEncoding)
        #expect(FileManager.default.fileExists(atPath: folder.file("out/" + name)), "\(source)")
      }
      for text in [outcome.standardOutput, outcome.standardError, page] {
        #expect(
          !text.unicodeScalars.contains { ["\u{202E}", "\u{200B}", "\u{2066}"].contains($0) })
      }
      #expect(outcome.standardError.contains("\\u{2066}.txt: not an image"), "\(outcome)")
    }

    /// Of many images the pages are the same on any number of ranks, every picture and page that they
    /// lead to is there, and they are read in the order of the inputs.
    @Test func pagesOfManyImagesAreTheSameOnAnyNumberOfRanks() throws {
      let paths = try pictures(450)
      try folder.write("not an image", to: "faces/0/10010-note.txt")
      var pages: [[String: String]] = []
      for ranks in [nil, 3] {
        let out = "out-\(ranks ?? 1)"
        let outcome = try explain(
          [folder.file("faces"), "--output", folder.file(out)], ranks: ranks, timeLimit: 300)
        #expect(outcome.succeeded, "\(outcome)")
        let names = folder.names(out)
        #expect(names.count == 5 * 450 + 1 + 3)
        var texts: [String: String] = [:]
        for name in names where name.hasSuffix(".html") {
          let text = String(decoding: try bytes(folder.file("\(out)/\(name)")), as: UTF8.self)
          expectClaimsAreKept(by: text, in: out)
          // The last digit may differ with the images that are run together.
          texts[name] = text.replacing(/(0\.[0-9]{2})[0-9]+/) { String($0.1) }
        }
        #expect(Set(texts.keys) == ["index.html", "page-2.html", "page-3.html"])
        pages.append(texts)
      }
      #expect(pages[0] == pages[1])
      let all = ["index.html", "page-2.html", "page-3.html"].compactMap { pages[0][$0] }.joined()
      let shown = all.matches(of: /id="image-([0-9]+)"><figcaption><h3><bdi>([^<]*)</)
      #expect(shown.compactMap { Int($0.1) } == Array(1...450))
      #expect(shown.map { String($0.2) } == paths)
      #expect(pages[0]["index.html"]?.contains("10010-note.txt: not an image") == true)
    }

    /// A page never claims what is not there, however the job ends; the next job begins anew.
    @Test(arguments: [nil, 2]) func aKilledJobLeavesNoPageThatClaimsMoreThanIsThere(
      ranks: Int?
    ) throws {
      _ = try pictures(450)
      let arguments = [
        "explain", "--checkpoint", checkpoint, "--threads", "1", "--batch", "4",
        folder.file("faces"), "--output", folder.file("out"),
      ]
      let index = folder.file("out/index.html")
      let job = try Job("rfm", arguments, ranks: ranks)
      #expect(job.wait(until: { _ in access(index, F_OK) == 0 }), "\(job.wait())")
      kill(ranks == nil ? job.pid : try #require(job.ranks()[0]), SIGKILL)
      let outcome = job.wait()
      #expect(outcome.status != 0 && !outcome.timedOut, "\(outcome)")
      let page = String(decoding: try bytes(index), as: UTF8.self)
      #expect(page.contains("Not complete"))
      #expect(page.matches(of: /<figure class="explained"/).count == 200)
      for name in folder.names("out") where name.hasSuffix(".html") {
        expectClaimsAreKept(
          by: String(decoding: try bytes(folder.file("out/" + name)), as: UTF8.self), in: "out")
      }
      // The pages of a job are gone before the next one draws, however soon that is killed.
      let next = try Job("rfm", arguments + ["--threshold", "0.875"], ranks: ranks)
      #expect(next.wait(until: { $0.standardOutput.contains("\n") }), "\(next.wait())")
      kill(ranks == nil ? next.pid : try #require(next.ranks()[0]), SIGKILL)
      _ = next.wait()
      for name in folder.names("out") where name.hasSuffix(".html") {
        let page = String(decoding: try bytes(folder.file("out/" + name)), as: UTF8.self)
        #expect(page.contains("from a probability of 0.875 on"), "\(name)")
        expectClaimsAreKept(by: page, in: "out")
      }
    }

    /// Every link and picture of a page leads to a file.
    private func expectClaimsAreKept(by page: String, in out: String) {
      for match in page.matches(of: /(?:src|href)="([^"#]+)"/) {
        let name = String(match.1).removingPercentEncoding ?? ""
        #expect(FileManager.default.fileExists(atPath: folder.file("\(out)/\(name)")), "\(name)")
      }
    }

    /// Ranks on hosts that share no folder draw onto their own disks; the page is rank 0's.
    @Test func picturesOnAnotherHostAreToldAndNotClaimed() throws {
      let paths = try pictures(4)
      for rank in ["rank0", "rank1"] {
        try FileManager.default.createDirectory(
          atPath: folder.file(rank), withIntermediateDirectories: true)
      }
      let outcome = try RankFolders.run(
        folder.path,
        ["explain", "--checkpoint", checkpoint, "--threads", "1", "--output", "out"] + paths)
      #expect(outcome.succeeded, "\(outcome)")
      #expect(
        outcome.standardError.contains(
          "rfm: out: of 2 images the pictures were drawn on other hosts and are not here"),
        "\(outcome)")
      let page = String(decoding: try bytes(folder.file("rank0/out/index.html")), as: UTF8.self)
      expectClaimsAreKept(by: page, in: "rank0/out")
      #expect(page.matches(of: /<figure class="explained"/).count == 4)
      #expect(page.ranges(of: "drawn on another host").count == 2)
      #expect(!folder.names("rank1/out").contains("index.html"))
    }

    /// One copy of 108 million pixels takes 324 MB; both are decoded at half their size instead.
    @Test func aHugeImageTakesBoundedMemory() throws {
      var pixels = [UInt8](repeating: 90, count: 12_000 * 9_000 * 3)
      pixels.withUnsafeMutableBytes { bytes in
        for row in stride(from: 0, to: 9_000, by: 200) {
          memset(bytes.baseAddress! + row * 36_000, Int32(row % 256), 36_000 * 100)
        }
      }
      let image = RGBImage(width: 12_000, height: 9_000, pixels: pixels)
      pixels = []
      let jpeg = folder.file("huge.jpg")
      try Data(JPEGCodec.encode(image, quality: 80)).write(to: URL(filePath: jpeg))
      let png = folder.file("huge.png")
      try PNGCodec.write(image, to: png)
      let small = try #require(try pictures(1).first)
      let least = try peakMemory(explaining: small)
      for path in [jpeg, png] {
        let peak = try peakMemory(explaining: path)
        #expect(
          peak - least < 230 << 20, "\(path): \(peak >> 20) MiB, \(least >> 20) for a small one")
      }
    }

    /// The most memory in bytes that a process explaining a file had at once.
    private func peakMemory(explaining path: String) throws -> Int {
      let job = try Job("rfm", ["explain", "--checkpoint", checkpoint, "--threads", "1", path])
      var peak = 0
      _ = job.wait(until: { job in
        let status = FileManager.default.contents(atPath: "/proc/\(job.pid)/status") ?? Data()
        for line in String(decoding: status, as: UTF8.self).split(separator: "\n")
        where line.hasPrefix("VmHWM:") {
          peak = max(peak, (Int(line.filter(\.isNumber)) ?? 0) << 10)
        }
        return false
      })
      let outcome = job.wait()
      #expect(outcome.succeeded, "\(outcome)")
      #expect(try lines(outcome).first?["path"]?.textValue == path)
      #expect(peak > 0)
      return peak
    }
  }
}
