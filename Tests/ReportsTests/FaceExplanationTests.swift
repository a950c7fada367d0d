import Foundation
import TestSupport
import Testing

@testable import Checkpoints
@testable import FaceShards
@testable import Faces
@testable import Foundations
@testable import Images
@testable import MessagePassing
@testable import Networks
@testable import Reports
@testable import Tensors

/// Photos with several faces, and videos.
@Suite(.serialized) struct FaceExplanationTests {
  private static let scenes = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "FacesTests/Golden")

  private static func scene(_ name: String) throws -> RGBImage {
    try ImageDecoder.decode(path: scenes.appending(path: "scene-\(name).jpg").path)
  }

  /// Three faces.
  private static let crowd = Result { try scene("015") }
  private static let settings = FaceCropSettings(size: 72, margin: 1.5)

  private static func preprocessing(_ settings: FaceCropSettings = settings) throws -> String {
    try FacePreprocessing(
      settings: settings, detectorVersion: FaceDetector.version, landmarkModel: nil
    ).json.line()
  }

  private func loaded(_ preprocessing: String?) -> LoadedDetector {
    let detector = Detector(.xceptionTiny)
    detector.initialise(seed: 3)
    return LoadedDetector(
      detector, crop: 64, mean: 0.5, std: 0.25, source: "test", preprocessing: preprocessing)
  }

  private struct Outcome {
    var summary: ExplanationJob.Summary
    var lines: [JSON]
    var told: [String]
  }

  private func run(
    _ inputs: [String], output: String? = nil,
    preprocessing: String? = try? FaceExplanationTests.preprocessing(), batch: Int = 4,
    change: (inout ExplanationJob.Settings) -> Void = { _ in }
  ) throws -> Outcome {
    var settings = ExplanationJob.Settings(inputs: inputs)
    settings.output = output
    settings.batch = batch
    settings.threads = 2
    change(&settings)
    var (lines, told): ([JSON], [String]) = ([], [])
    let summary = try ExplanationJob.run(
      loaded(preprocessing), settings, communicator: try Communicator.world(needing: .single),
      workers: WorkerPool(threads: 2), tell: { told.append($0) }, emit: { lines.append($0) })
    return Outcome(summary: summary, lines: lines, told: told)
  }

  /// What the detector says of a crop that is cut out here and given as an image.
  private func logits(of crops: [RGBImage]) throws -> [Double] {
    let folder = TemporaryFolder()
    for (number, crop) in crops.enumerated() {
      try folder.write(String(format: "%04d.png", number), PNGCodec.encode(crop))
    }
    return try run([folder.path], preprocessing: nil) { $0.faces.size = 72 }.lines.map {
      try #require($0["logit_fake"]?.doubleValue)
    }
  }

  /// A video of a scene that moves sideways; in the frames of `empty` there is nothing.
  private func film(_ count: Int, empty: Set<Int> = []) throws -> [RGBImage] {
    let wide = try Self.scene("013")
    return (0..<count).map { number in
      empty.contains(number)
        ? RGBImage(
          width: wide.width - 32, height: wide.height,
          pixels: [UInt8](repeating: 60, count: (wide.width - 32) * wide.height * 3))
        : wide.cropped(left: number * 2, top: 0, width: wide.width - 32, height: wide.height)
    }
  }

  // MARK: Photos

  @Test func aPhotoWithThreeFacesGivesThreeLinesLargestFirst() throws {
    let folder = TemporaryFolder()
    let image = try Self.crowd.get()
    try folder.write("crowd.png", PNGCodec.encode(image))
    try folder.write("empty.png", PNGCodec.encode(KnownImage.pattern(width: 200, height: 180)))
    let outcome = try run([folder.path], batch: 2)
    let expected = try FaceCropper(Self.settings).faces(in: image)
    #expect(expected.count == 3 && outcome.lines.count == 3)
    let areas = expected.map(\.box.area)
    #expect(areas == areas.sorted(by: >) && areas[0] > areas[2])
    let logits = try logits(of: expected.map(\.image))
    for (number, line) in outcome.lines.enumerated() {
      #expect(line["path"]?.textValue == folder("crowd.png"))
      #expect(line["face"]?.integerValue == number)
      #expect(
        line["box"]?.arrayValue?.compactMap(\.doubleValue)
          == expected[number].box.corners.map { Double($0) })
      #expect(
        line["picture_size"]?.arrayValue?.compactMap(\.integerValue) == [image.width, image.height])
      #expect(line["frame"] == nil && line["pictures"] == nil)
      let logit = try #require(line["logit_fake"]?.doubleValue)
      #expect(abs(logit - logits[number]) < 1e-5)
    }
    #expect(Set(logits).count == 3)
    #expect(outcome.summary.explained == 1)
    #expect(outcome.summary.skipped == ["\(folder("empty.png")): no face found"])
    #expect(outcome.summary.kindsInWords == "no face: 1")
    #expect(
      outcome.told == [
        "faces are looked for in images, and cut out with margin 1.5, alignment none, size 72, as "
          + "those of test were",
        ExplanationJob.uncalibrated,
      ])
  }

  @Test func withoutAFaceAnywhereThereIsNothingToExplain() throws {
    let folder = TemporaryFolder()
    for name in ["a.png", "b.png"] {
      try folder.write(name, PNGCodec.encode(KnownImage.pattern(width: 200, height: 180)))
    }
    let error = try #require(throws: ExplanationJob.NothingToExplain.self) {
      try run([folder.path])
    }
    #expect(
      error.description
        == "no image to explain: none of 2 files shows a face (no face: 2): "
        + "\(folder("a.png")): no face found; \(folder("b.png")): no face found")
  }

  /// What a detector that doesn't say how its faces were cut out gets is what it always got.
  @Test func imagesAreKeptUnlessTheDetectorsFacesWereFound() throws {
    let folder = TemporaryFolder()
    try folder.write("crowd.png", PNGCodec.encode(Self.crowd.get()))
    let old = try run([folder.path], preprocessing: nil)
    #expect(old.lines.count == 1)
    #expect(
      old.lines[0].members?.map(\.name)
        == [
          "path", "probability_fake", "calibrated", "label", "threshold", "logit_real",
          "logit_fake",
        ])
    #expect(old.told.count == 2 && old.told[0].hasPrefix("images are taken for faces already"))
    #expect(old.told.last == ExplanationJob.uncalibrated)
    let kept = try run([folder.path]) { $0.faces.faces = .keep }
    #expect(kept.lines == old.lines)
    // Asked for, they are cut out as pack does by default.
    let asked = try run([folder.path], preprocessing: nil) { $0.faces.faces = .detect }
    #expect(asked.lines.count == 3)
    #expect(
      asked.told == [
        "faces are looked for in images, and cut out with margin 1.3, alignment none, size 73, as pack "
          + "does by default: test does not say how its faces were cut out",
        ExplanationJob.uncalibrated,
      ])
  }

  @Test func whatContradictsTheDetectorIsRefusedUnlessAnyCropWillDo() throws {
    let folder = TemporaryFolder()
    try folder.write("crowd.png", PNGCodec.encode(Self.crowd.get()))
    let changes: [(String, (inout FaceExtraction.Request) -> Void)] = [
      ("--margin 1.2", { $0.margin = 1.2 }), ("--align similarity", { $0.alignment = .similarity }),
      ("--detect-grey", { $0.detectsInGrey = true }), ("--size 80", { $0.size = 80 }),
    ]
    for (option, change) in changes {
      let error = try #require(throws: FaceExtraction.Contradiction.self) {
        try run([folder.path]) { change(&$0.faces) }
      }
      #expect(error.description.hasPrefix("\(option) contradicts test, which"), "\(error)")
      #expect(error.exitStatus == .usage)
    }
    // The same as the detector says is no contradiction.
    let own = try run([folder.path]).lines
    let same = try run([folder.path]) {
      $0.faces.margin = 1.5
      $0.faces.alignment = FaceCropSettings.Alignment.none
      $0.faces.detectsInGrey = false
      $0.faces.size = 72
    }
    #expect(same.lines == own)
    let other = try run([folder.path]) {
      $0.faces.margin = 1.2
      $0.faces.takesAnyPreprocessing = true
    }
    #expect(other.lines.count == 3 && other.lines != own)
    #expect(other.lines.map { $0["box"] } == own.map { $0["box"] })
  }

  @Test func anotherLandmarkModelAndAnotherDetectorAreRefused() throws {
    let folder = TemporaryFolder()
    try folder.write("crowd.png", PNGCodec.encode(Self.crowd.get()))
    let model = Self.scenes.appending(path: "landmarks.dat").path
    let digest = try LandmarkModel(path: model).digest
    func preprocessing(_ digest: String) throws -> String {
      var aligned = Self.settings
      aligned.alignment = .similarity
      return try FacePreprocessing(
        settings: aligned, detectorVersion: nil, landmarkModel: digest
      ).json.line()
    }
    let aligned = try run([folder.path], preprocessing: preprocessing(digest)) {
      $0.faces.landmarkModel = model
    }
    #expect(aligned.lines.count == 3)
    let other = String(repeating: "0", count: 64)
    let error = try #require(throws: FaceError.self) {
      try run([folder.path], preprocessing: preprocessing(other)) { $0.faces.landmarkModel = model }
    }
    #expect(error.description.hasPrefix("\(model): is another landmark model"), "\(error)")
    let any = try run([folder.path], preprocessing: preprocessing(other)) {
      $0.faces.landmarkModel = model
      $0.faces.takesAnyPreprocessing = true
    }
    #expect(any.lines == aligned.lines)

    let foreign = #"{"detector":"retinaface","margin":1.3}"#
    let unknown = try #require(throws: FaceError.self) {
      try run([folder.path], preprocessing: foreign)
    }
    #expect(unknown.description.contains("\"retinaface\""), "\(unknown)")
    #expect(unknown.description.contains("--any-preprocessing"), "\(unknown)")
    let kept = try run([folder.path], preprocessing: foreign) { $0.faces.faces = .keep }
    #expect(kept.lines.count == 1)
  }

  // MARK: Videos

  @Test(arguments: [1, 4, 32]) func aVideosVerdictIsTheMeanOverTheFramesWithAFace(batch: Int) throws
  {
    let folder = TemporaryFolder()
    try folder.write("a.avi", MotionJPEG.avi(film(9, empty: [3, 4])))
    let outcome = try run([folder("a.avi")], batch: batch) { $0.frames = 5 }
    // Of 9 frames 0, 2, 4, 6 and 8.
    let lines = outcome.lines
    #expect(lines.count == 5)
    let faces = lines.dropLast()
    let video = try #require(lines.last)
    #expect(faces.map { $0["frame"]?.integerValue } == [0, 2, 6, 8])
    #expect(faces.allSatisfy { $0["face"]?.integerValue == 0 })
    for (line, time) in zip(faces, [0, 0.2, 0.6, 0.8]) {
      #expect(abs(try #require(line["time"]?.doubleValue) - time) < 1e-6)
    }
    let probabilities = faces.compactMap { $0["probability_fake"]?.doubleValue }
    #expect(probabilities.count == 4 && Set(probabilities).count == 4)
    #expect(video["kind"]?.textValue == "video" && video["path"]?.textValue == folder("a.avi"))
    let mean = try #require(video["probability_fake"]?.doubleValue)
    #expect(abs(mean - probabilities.reduce(0, +) / 4) < 1e-12)
    #expect(video["label"]?.textValue == (mean >= 0.5 ? "fake" : "real"))
    #expect(video["frames"]?.integerValue == 5 && video["frames_with_face"]?.integerValue == 4)
    #expect(video["frame_indices"]?.arrayValue?.compactMap(\.integerValue) == [0, 2, 4, 6, 8])
    #expect(
      video["frame_probabilities"]?.arrayValue?.map(\.doubleValue)
        == [probabilities[0], probabilities[1], nil, probabilities[2], probabilities[3]])
    #expect(
      outcome.summary.notes == [
        "\(folder("a.avi")): no face found in 1 of 5 frames, which don't count"
      ])
    #expect(outcome.summary.explained == 1)
    // What is cut out here of the decoded frames gives the same.
    let cropper = try FaceCropper(Self.settings)
    var track = FaceTrack()
    let crops = try VideoReader(path: BytePath(folder("a.avi"))).read(.evenly(5)) {
      try cropper.face(in: $0.image, track: &track)
    }.results.compactMap { $0 }
    for (line, logit) in zip(faces, try logits(of: crops.map(\.image))) {
      #expect(abs(try #require(line["logit_fake"]?.doubleValue) - logit) < 1e-5)
    }
    #expect(
      faces.map { $0["box"]?.arrayValue?.compactMap(\.doubleValue) }
        == crops.map { $0.box.corners.map { Double($0) } })
  }

  @Test func aVideoThatIsCutShortIsToldAndOneWithoutFacesNamed() throws {
    let folder = TemporaryFolder()
    let whole = try MotionJPEG.avi(film(12))
    try folder.write("cut.avi", Array(whole[..<(whole.count * 2 / 3)]))
    try folder.write("nobody.avi", MotionJPEG.avi(film(3, empty: [0, 1, 2])))
    try folder.write("zeros.mp4", [UInt8](repeating: 0, count: 5000))
    let outcome = try run([folder.path])
    #expect(outcome.summary.explained == 1)
    #expect(outcome.summary.notes.count == 1)
    let note = try #require(outcome.summary.notes.first)
    #expect(note.hasPrefix("\(folder("cut.avi")): "), "\(note)")
    #expect(note.contains("of 12 frames decode"), "\(note)")
    let video = try #require(outcome.lines.last)
    #expect(video["notes"]?.arrayValue?.count == 1)
    #expect((6...9).contains(try #require(video["frames"]?.integerValue)))
    #expect(outcome.summary.skipped.count == 2)
    #expect(
      outcome.summary.skipped[0] == "\(folder("nobody.avi")): no face found in any of 3 frames")
    #expect(outcome.summary.skipped[1].hasPrefix("\(folder("zeros.mp4")): "))
  }

  // MARK: Pages

  @Test func thePageShowsBoxesAndTheCourseOfAVideo() throws {
    let folder = TemporaryFolder()
    try folder.write("a/crowd.png", PNGCodec.encode(Self.crowd.get()))
    try folder.write("a/film.avi", MotionJPEG.avi(film(8, empty: [3])))
    let output = folder("out")
    let outcome = try run([folder("a")], output: output)
    let page = try String(contentsOfFile: output + "/index.html", encoding: .utf8)
    let elements = try Elements(bodyOf: page)
    #expect(elements.isWhole)
    for source in elements.attributes("src") {
      #expect(FileManager.default.fileExists(atPath: "\(output)/\(source)"), "\(source)")
    }
    let images = elements.all.filter { $0.name == "img" }
    #expect(images.allSatisfy { $0.attributes["alt"]?.isEmpty == false })
    // Of the photo one scene and three faces, of the video four frames.
    let sources = elements.attributes("src")
    #expect(sources.filter { $0.hasPrefix("crowd-faces/") }.count == 1 + 3 * 4)
    #expect(sources.filter { $0.hasPrefix("film-frames/") }.count == 4 * 5)
    #expect(elements.attributes("class").count { $0.hasPrefix("box") } == 3 + 4)
    #expect(page.contains("id=\"plot-video-2\"") && page.contains("class=\"gap\""))
    #expect(page.contains("the mean over the 7 of 8 frames with a face"))
    #expect(page.contains("<dt>explained</dt><dd><strong>2</strong>"))
    // The lines name what is drawn, of a video only the frames that are shown.
    let faces = outcome.lines.filter { $0["kind"] == nil }
    #expect(faces.count == 3 + 7)
    let drawn = faces.filter { $0["pictures"] != nil }
    #expect(drawn.count == 3 + 4)
    for line in drawn {
      let files = try #require(line["pictures"]?.members).compactMap(\.value.textValue)
      #expect(files.count == 6)
      for file in files { #expect(FileManager.default.fileExists(atPath: file), "\(file)") }
    }
    // Those most likely fake.
    let shown = drawn.dropFirst(3).compactMap { $0["probability_fake"]?.doubleValue }
    let all = faces.dropFirst(3).compactMap { $0["probability_fake"]?.doubleValue }
    #expect(shown.sorted() == Array(all.sorted().suffix(4)))
    // The crop that the detector saw is what FaceCropper gives.
    let crop = try FaceCropper(Self.settings).faces(in: Self.crowd.get())[2].image
    #expect(
      try ImageDecoder.decode(path: output + "/crowd-faces/2-image.png")
        == crop.cropped(left: 4, top: 4, width: 64, height: 64))
  }

  @Test func explanationsOfFacesAndVideosTravelAsTheirLines() throws {
    var face = Explanation(path: "a.mp4", logitReal: 0.1, logitFake: -2, threshold: 0.25)
    face.face = Explanation.Face(
      number: 2, box: [-3, 4, 50.5, 61], pictureWidth: 640, pictureHeight: 360, frame: 7, time: 0.7,
      scene: "out/a-frames/7-scene.jpg")
    face.pictures = [.init(kind: .fam, path: "out/a-frames/7-fam.png")]
    #expect(Explanation(face.json) == face)
    face.face?.time = nil
    #expect(Explanation(face.json) == face)
    let video = VideoExplanation(
      path: "a.mp4",
      frames: [
        .init(index: 0, time: 0, probability: nil), .init(index: 7, time: nil, probability: 0.25),
        .init(index: 9, time: 0.9, probability: 1.0 / 3),
      ],
      threshold: 0.25, notes: ["x"])
    #expect(VideoExplanation(video.json) == video)
    #expect(abs(video.probability - 7.0 / 24) < 1e-15 && video.isFake)
    let file = FileExplanation(faces: [face], video: video)
    #expect(FileExplanation(lines: file.lines) == file)
    #expect(FileExplanation(lines: [video.json]) == nil)
  }
}
