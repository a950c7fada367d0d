import Foundation
import Testing

@testable import Checkpoints
@testable import ForgeryMining
@testable import Foundations
@testable import Images
@testable import MessagePassing
@testable import Networks
@testable import Reports
@testable import Tensors

@Suite(.serialized) struct ExplanationJobTests {
  /// A folder that is gone when the test ends.
  private final class Folder {
    let path = NSTemporaryDirectory() + "rfm-explain-" + UUID().uuidString

    init() throws {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func write(_ name: String, _ bytes: [UInt8]) throws {
      let file = URL(fileURLWithPath: path + "/" + name)
      try FileManager.default.createDirectory(
        at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(bytes).write(to: file)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  private func picture(_ width: Int, _ height: Int, shift: Int = 0) -> RGBImage {
    let pixels = (0..<width * height * 3).map { UInt8(($0 * 7 + $0 / width * 3 + shift) & 255) }
    return RGBImage(width: width, height: height, pixels: pixels)
  }

  private func run(
    _ inputs: [String], output: String? = nil, prototypes: String? = nil, batch: Int = 4,
    change: (Detector) -> Void = { _ in }
  ) throws -> (summary: ExplanationJob.Summary, lines: [JSON]) {
    let detector = Detector(.xceptionTiny)
    detector.initialise(seed: 3)
    change(detector)
    let loaded = LoadedDetector(detector, crop: 64, mean: 0.5, std: 0.25, source: "test")
    var settings = ExplanationJob.Settings(inputs: inputs)
    settings.output = output
    settings.prototypes = prototypes
    settings.batch = batch
    settings.threads = 2
    var lines: [JSON] = []
    let summary = try ExplanationJob.run(
      loaded, settings, communicator: try Communicator.world(needing: .single),
      workers: WorkerPool(threads: 2), emit: { lines.append($0) })
    return (summary, lines)
  }

  @Test func filesOfAnyKindAndSizeAreExplainedAndOthersNamed() throws {
    let folder = try Folder()
    try folder.write("a.jpg", JPEGCodec.encode(picture(120, 90), quality: 90))
    try folder.write("b.png", PNGCodec.encode(picture(33, 200)))
    try folder.write("c.pgm", Array("P5 1 1 255\n".utf8) + [200])
    try folder.write("d.txt", Array("hello".utf8))
    try folder.write("e.jpg", [])
    try folder.write("f.jpg", Array(JPEGCodec.encode(picture(64, 64), quality: 90)[..<300]))
    let (summary, lines) = try run([folder.path])
    #expect(summary.explained == 3 && lines.count == 3)
    #expect(summary.skipped.count == 3)
    #expect(summary.skipped[0] == "\(folder.path)/d.txt: not an image (\(ImageFormat.readable))")
    #expect(summary.skipped[1] == "\(folder.path)/e.jpg: the file is empty")
    #expect(summary.skipped[2].hasPrefix("\(folder.path)/f.jpg: damaged JPEG"))
    #expect(
      lines.map { $0["path"]?.textValue }
        == ["a.jpg", "b.png", "c.pgm"].map { "\(folder.path)/\($0)" })
    for line in lines {
      let probability = try #require(line["probability_fake"]?.doubleValue)
      let real = try #require(line["logit_real"]?.doubleValue)
      let fake = try #require(line["logit_fake"]?.doubleValue)
      #expect(abs(probability - 1 / (1 + exp(real - fake))) < 1e-6)
      #expect(line["label"]?.textValue == (probability >= 0.5 ? "fake" : "real"))
      #expect(line["method"] == nil && line["pictures"] == nil)
    }
  }

  @Test func theBatchDoesNotChangeWhatIsSaid() throws {
    let folder = try Folder()
    for index in 0..<7 {
      try folder.write("\(index).png", PNGCodec.encode(picture(80, 70, shift: 31 * index)))
    }
    let (_, expected) = try run([folder.path], batch: 1)
    #expect(Set(expected.map { $0["probability_fake"]?.doubleValue }).count == 7)
    for batch in [2, 7, 16] { #expect(try run([folder.path], batch: batch).lines == expected) }
  }

  /// The likeliest method is told with its similarity, and as unknown below the threshold that was
  /// chosen on validation data.
  @Test(arguments: [
    (-1.0, true, AttributionKind.plain), (1, false, .plain), (-1, true, .centred),
    (1, false, .centred),
  ]) func theMethodIsNamedAndRejectedBelowTheThreshold(
    threshold: Double, isKnown: Bool, kind: AttributionKind
  ) throws {
    let folder = try Folder()
    for index in 0..<3 {
      try folder.write("\(index).png", PNGCodec.encode(picture(80, 70, shift: 31 * index)))
    }
    let methods = ["blend", "grid", "swap"]
    var maps: [Float] = []
    for method in methods.indices {
      maps += (0..<64 * 64).map { Float(($0 * (method + 3) + $0 / 64 * 5) % 97) / 97 }
    }
    let calibration = PrototypesFile.Calibration(
      plainAccuracy: kind == .plain ? 0.9 : 0.5, centredAccuracy: kind == .plain ? 0.5 : 0.9,
      plainThreshold: kind == .plain ? threshold : 0, centredThreshold: threshold)
    let file = NSTemporaryDirectory() + "rfm-prototypes-" + UUID().uuidString + ".h5"
    defer { try? FileManager.default.removeItem(atPath: file) }
    try PrototypesFile(
      Prototypes(methods: methods, height: 64, width: 64, maps: maps, counts: [4, 4, 4]),
      calibration: calibration
    ).write(to: file)
    let (_, lines) = try run([folder.path], prototypes: file)
    #expect(lines.count == 3)
    for line in lines {
      let members = try #require(line["similarities"]?.members)
      #expect(members.map(\.name) == methods)
      let best = try #require(
        members.max { $0.value.doubleValue ?? -2 < $1.value.doubleValue ?? -2 })
      #expect(line["method"]?.textValue == best.name)
      #expect(line["similarity"] == best.value)
      #expect(line["attribution"]?.textValue == kind.rawValue)
      #expect(line["similarity_threshold"]?.doubleValue == threshold)
      #expect(line["method_is_known"]?.booleanValue == isKnown)
    }
  }

  @Test func picturesAreDrawnAndShownOnAPage() throws {
    let folder = try Folder()
    let output = folder.path + "-out"
    defer { try? FileManager.default.removeItem(atPath: output) }
    try folder.write("one/face.png", PNGCodec.encode(picture(90, 90)))
    try folder.write("two/face.png", PNGCodec.encode(picture(90, 90, shift: 50)))
    try folder.write("other.png", PNGCodec.encode(picture(90, 90, shift: 90)))
    let (summary, lines) = try run([folder.path], output: output)
    let names: [String] = try FileManager.default.contentsOfDirectory(atPath: output).sorted()
    let kinds = ["cam", "erased", "fam", "image", "sheet"]
    func drawings(_ name: String) -> [String] { kinds.map { "\(name)-\($0).png" } }
    #expect(
      names == drawings("face-0") + drawings("face-2") + ["index.html"] + drawings("other"))
    #expect(summary.page == output + "/index.html")
    // Of equal names each gets its place among the images.
    let pictures = try #require(lines[1]["pictures"]?.members)
    #expect(pictures.map(\.name) == ["fam", "cam", "sheet", "image", "erased"])
    #expect(
      pictures.map(\.value.textValue)
        == pictures.map { "\(output)/other-\($0.name).png" })
    var drawn: [String: RGBImage] = [:]
    for kind in kinds {
      drawn[kind] = try ImageDecoder.decode(path: "\(output)/other-\(kind).png")
      if kind != "sheet" { #expect(drawn[kind]?.width == 64 && drawn[kind]?.height == 64) }
    }
    let original = try ImageDecoder.decode(path: folder.path + "/other.png")
    #expect(drawn["image"] == Preparation(crop: 64, size: nil).apply(original))
    // The four side by side, and nothing else.
    let sheet = try #require(drawn["sheet"])
    #expect(sheet.width == 4 * 64 + 3 * 4 && sheet.height == 64)
    for (column, kind) in ["image", "fam", "cam", "erased"].enumerated() {
      #expect(sheet.cropped(left: column * 68, top: 0, width: 64, height: 64) == drawn[kind])
    }

    let page = try String(contentsOfFile: output + "/index.html", encoding: .utf8)
    let elements = try Elements(bodyOf: page)
    #expect(elements.isWhole)
    var shown: [String] = []
    for name in ["face-0", "other", "face-2"] {
      for kind in ["image", "fam", "cam", "erased"] { shown.append("\(name)-\(kind).png") }
    }
    #expect(elements.attributes("src") == shown)
    for line in lines {
      let probability = try #require(line["probability_fake"]?.doubleValue)
      #expect(page.contains("<strong>\(FigureText.rate(probability))</strong>"))
      #expect(page.contains(HTML.escaped(try #require(line["path"]?.textValue))))
    }
  }

  /// With prototypes the page shows each, and with every image the one of its likeliest method and all
  /// cosines.
  @Test func thePageShowsPrototypesAndCosines() throws {
    let folder = try Folder()
    let output = folder.path + "-out"
    defer { try? FileManager.default.removeItem(atPath: output) }
    for index in 0..<3 {
      try folder.write("\(index).png", PNGCodec.encode(picture(80, 70, shift: 31 * index)))
    }
    let methods = ["a/b", "A_B", "swap"]
    var maps: [Float] = []
    for method in methods.indices {
      maps += (0..<64 * 64).map { Float(($0 * (method + 3) + $0 / 64 * 5) % 97) / 97 }
    }
    let file = NSTemporaryDirectory() + "rfm-prototypes-" + UUID().uuidString + ".h5"
    defer { try? FileManager.default.removeItem(atPath: file) }
    try PrototypesFile(
      Prototypes(methods: methods, height: 64, width: 64, maps: maps, counts: [4, 1, 4]),
      calibration: PrototypesFile.Calibration(plainAccuracy: 1, plainThreshold: 1)
    ).write(to: file)
    let (_, lines) = try run([folder.path], output: output, prototypes: file)
    let pictures = ["a_b.png", "A_B_.png", "swap.png"]
    #expect(
      try Set(FileManager.default.contentsOfDirectory(atPath: output + "/prototypes"))
        == Set(pictures))
    let page = try String(contentsOfFile: output + "/index.html", encoding: .utf8)
    let figures = page.matches(of: /(?s)<figure class="explained".*?<\/figure>/).map {
      Elements(String($0.0).replacing(/(<img [^>]*)>/) { "\($0.1)/>" })
    }
    #expect(figures.count == 3)
    for (line, figure) in zip(lines, figures) {
      let method = try #require(line["method"]?.textValue)
      let place = try #require(methods.firstIndex(of: method))
      #expect(figure.attributes("src").last == "prototypes/\(pictures[place])")
      let items = figure.all.filter { $0.name == "li" }.map(\.text)
      let cosines = try #require(line["similarities"]?.members)
      #expect(items == cosines.map { "\($0.name) \(FigureText.ratio($0.value.doubleValue))" })
      let text = try #require(figure.all.first).text
      #expect(text.contains("most like \(method)") && text.contains("perhaps an unknown method"))
    }
    let gallery = page.matches(of: /<figure class="prototype"><figcaption><h3><bdi>([^<]*)</)
    #expect(gallery.map { String($0.1) } == methods)
    #expect(page.contains("mean of 4 images") && page.contains("mean of 1 image,"))
  }

  /// The numbers that make names different may be part of a real one: no picture may take the place of
  /// another, and each line names its own.
  @Test func noPictureTakesThePlaceOfAnother() throws {
    let folder = try Folder()
    let output = folder.path + "-out"
    defer { try? FileManager.default.removeItem(atPath: output) }
    let names = [
      "x/a.png", "y/a.png", "z/a-0.png", "z/A.png", "\u{301}.png", "e\u{301}.png", "\u{E9}.png",
    ]
    for (index, name) in names.enumerated() {
      try folder.write(name, PNGCodec.encode(picture(64, 64, shift: 31 * index)))
    }
    let (summary, lines) = try run([folder.path], output: output)
    #expect(summary.explained == names.count)
    let told = lines.flatMap { line in
      (line["pictures"]?.members ?? []).compactMap(\.value.textValue)
    }
    let written = try FileManager.default.contentsOfDirectory(atPath: output).filter {
      $0 != "index.html"
    }
    #expect(written.count == 5 * names.count)
    #expect(Set(told.map { $0.lowercased() }).count == 5 * names.count)
    #expect(Set(told) == Set(written.map { output + "/" + $0 }))
    // Each is that of its own image.
    for line in lines {
      let path = try #require(line["path"]?.textValue)
      let alone = folder.path + "-alone"
      defer { try? FileManager.default.removeItem(atPath: alone) }
      let (_, own) = try run([path], output: alone)
      #expect(
        try ImageDecoder.decode(path: #require(own[0]["pictures"]?["fam"]?.textValue))
          == ImageDecoder.decode(path: #require(line["pictures"]?["fam"]?.textValue)), "\(path)")
    }
  }

  @Test func aPictureNeverReplacesAnImage() throws {
    let folder = try Folder()
    let image = try PNGCodec.encode(picture(64, 64))
    try folder.write("a.png", image)
    try folder.write("a-fam.png", image)
    let error = try #require(throws: ExplanationJob.PictureInTheWay.self) {
      try run([folder.path], output: folder.path)
    }
    #expect(
      error.description
        == "\(folder.path)/a-fam.png: a picture of this name would replace \(folder.path)/a-fam.png, "
        + "which is to be explained; choose another folder with --output")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 2)
    #expect(try [UInt8](Data(contentsOf: URL(filePath: folder.path + "/a-fam.png"))) == image)
  }

  /// A page that something else has made stays, and so does an earlier one as long as there is nothing
  /// to take its place.
  @Test func aPageIsReplacedByOneOfItsKindOnly() throws {
    let folder = try Folder()
    let output = folder.path + "-out"
    defer { try? FileManager.default.removeItem(atPath: output) }
    try folder.write("a.png", PNGCodec.encode(picture(64, 64)))
    try folder.write("none/a.txt", Array("hello".utf8))
    try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
    let page = output + "/index.html"
    try Data("<title>My site</title>".utf8).write(to: URL(filePath: page))
    let error = try #require(throws: PageFrame.InTheWay.self) {
      try run([folder.path + "/a.png"], output: output)
    }
    #expect(
      error.description
        == "\(page): is no page of rfm explain, which would replace it; give another --output")
    #expect(try FileManager.default.contentsOfDirectory(atPath: output) == ["index.html"])
    #expect(try String(contentsOfFile: page, encoding: .utf8) == "<title>My site</title>")

    try FileManager.default.removeItem(atPath: page)
    _ = try run([folder.path + "/a.png"], output: output)
    let made = try Data(contentsOf: URL(filePath: page))
    #expect(throws: ExplanationJob.NothingToExplain.self) {
      try run([folder.path + "/none"], output: output)
    }
    #expect(try Data(contentsOf: URL(filePath: page)) == made)
    // One that can't say anything of its image has taken the earlier page away: its pictures are not
    // those of the page any more.
    #expect(throws: ExplanationJob.NotFinite.self) {
      try run([folder.path + "/a.png"], output: output) { $0.values[0] = .nan }
    }
    #expect(!FileManager.default.fileExists(atPath: page))
    _ = try run([folder.path + "/a.png"], output: output)
    #expect(try Data(contentsOf: URL(filePath: page)) == made)
  }

  @Test func aDetectorThatMakesNoNumberIsRefusedWithTheImage() throws {
    let folder = try Folder()
    try folder.write("a.png", PNGCodec.encode(picture(64, 64)))
    let error = try #require(throws: ExplanationJob.NotFinite.self) {
      try run([folder.path]) { $0.values[0] = .nan }
    }
    #expect(
      error.description.hasPrefix("\(folder.path)/a.png: what the detector says of it is not"))
    #expect(error.description.contains("(test)"))
  }

  @Test func ofManyFilesThatAreNoImagesTheFirstAndTheKindsAreTold() throws {
    let folder = try Folder()
    for index in 0..<4 { try folder.write("\(index).zip", Array("PK\u{3}\u{4}".utf8) + [20, 0]) }
    try folder.write("5.jpg", Array("%PDF-1.4\n".utf8))
    try folder.write("\u{301}.txt", Array("hello".utf8))
    let error = try #require(throws: ExplanationJob.NothingToExplain.self) {
      try run([folder.path])
    }
    let path = folder.path
    #expect(
      error.description.hasPrefix(
        "no image to explain: none of 6 files is an image that can be read (archive (ZIP): 4, PDF "
          + "document: 1, no known format: 1): \(path)/0.zip: an archive (ZIP), not an image; "))
    #expect(error.description.contains("; \(path)/2.zip: "))
    #expect(!error.description.contains("/3.zip"))
    #expect(error.description.hasSuffix("; and 3 more"))
  }

  @Test func nothingToExplainIsAnError() throws {
    let folder = try Folder()
    #expect(throws: ExplanationJob.NothingToExplain.self) { try run([folder.path]) }
    try folder.write("notes.txt", Array("hello".utf8))
    let error = try #require(throws: ExplanationJob.NothingToExplain.self) {
      try run([folder.path])
    }
    #expect(
      error.description
        == "no image to explain: \(folder.path)/notes.txt: not an image (\(ImageFormat.readable))")
  }

  @Test func imagesAreBroughtToTheCropAsPackAndAnEvaluationDo() {
    let image = picture(100, 80)
    let packed = ImageResize.bilinear(image.centreSquare(), width: 73, height: 73)
    #expect(
      Preparation(crop: 64, size: nil).apply(image)
        == packed.cropped(left: 4, top: 4, width: 64, height: 64))
    #expect(Preparation(crop: 224, size: nil).size == 256)
    #expect(Preparation(crop: 64, size: 64).apply(image).width == 64)
  }
}
