import FaceShards
import Foundations
import Images

/// Applies a detector to files: images, photos with faces, videos.
struct FileExplainer {
  let explainer: ImageExplainer
  let videos: VideoExplainer
  /// Images that the detector sees at once.
  let batch: Int

  /// Says of every file of a round what the detector sees in it, or why there is nothing.
  ///
  /// - Parameters:
  ///   - paths: of all files.
  ///   - folder: where pictures are drawn; nil for none.
  ///   - begin: called once, before anything is drawn, with whether anything is there to explain.
  /// - Throws: what `begin` throws, `ExplanationJob.NotFinite`, `ImageError` and `FileError` if a picture can't
  ///   be written.
  func explain(
    _ items: [ImageStream.Item<PictureReader.Contents>], paths: [BytePath],
    drawingInto folder: ExplanationFolder?, begin: (Bool) throws -> Void
  ) throws -> [ExplanationLine] {
    var lines: [ExplanationLine] = []
    func skip(_ item: ImageStream.Item<PictureReader.Contents>, _ detail: String, _ kind: String) {
      lines.append(
        ExplanationLine(index: item.index, .skipped("\(item.path): \(detail)", kind: kind)))
    }
    var pictures: [Picture] = []
    var findings: [(index: Int, finding: VideoExplainer.Finding)] = []
    for item in items {
      if item.isVideo {
        do {
          findings.append((item.index, try videos.explain(paths[item.index], path: item.path)))
        } catch let error as VideoExplainer.Unusable {
          skip(item, error.detail, error.kind)
        }
        continue
      }
      switch item.image {
      case .failure(let error): skip(item, error.detail, error.kind)
      case .success(let contents):
        if let failure = contents.failure {
          skip(item, failure, "no faces looked for")
        } else if contents.parts.isEmpty {
          skip(item, "no face found", Self.noFace)
        } else {
          pictures.append(Picture(index: item.index, path: item.path, contents: contents))
        }
      }
    }
    try begin(!pictures.isEmpty || !findings.isEmpty)
    for (index, finding) in findings {
      lines.append(
        ExplanationLine(index: index, .explained(try draw(finding, index: index, into: folder))))
    }
    return try lines + explain(pictures, drawingInto: folder)
  }

  /// What counts as a file without a face.
  static let noFace = "no face"

  // MARK: Pictures

  private struct Picture {
    var index: Int
    var path: String
    var contents: PictureReader.Contents
  }

  private func explain(
    _ pictures: [Picture], drawingInto folder: ExplanationFolder?
  ) throws -> [ExplanationLine] {
    var subjects: [ImageExplainer.Subject] = []
    for picture in pictures {
      let isWhole = picture.contents.parts.allSatisfy { $0.face == nil }
      let base = try folder.map { folder in
        try isWhole ? folder.base(of: picture.index) : folder.faces(of: picture.index)
      }
      let scene = try picture.contents.scene.flatMap { scene in
        try base.map { try Self.write(scene, to: "\($0)/scene.jpg") }
      }
      for part in picture.contents.parts {
        var face = part.face
        face?.scene = scene
        let number = face?.number ?? 0
        subjects.append(
          ImageExplainer.Subject(
            image: part.image, path: picture.path, face: face,
            sample: Self.sample(picture.index, part: number),
            base: base.map { isWhole ? $0 : "\($0)/\(number)" }))
      }
    }
    var said = try run(subjects)[...]
    return pictures.map { picture in
      let faces = said.prefix(picture.contents.parts.count)
      said = said.dropFirst(faces.count)
      return ExplanationLine(
        index: picture.index, .explained(FileExplanation(faces: Array(faces))))
    }
  }

  /// A batch at a time.
  private func run(_ subjects: [ImageExplainer.Subject]) throws -> [Explanation] {
    var said: [Explanation] = []
    for start in stride(from: 0, to: subjects.count, by: batch) {
      said += try explainer.explain(Array(subjects[start..<min(start + batch, subjects.count)]))
    }
    return said
  }

  /// Whose noise a picture of what SFE would leave has: a file's first face that of the file.
  private static func sample(_ index: Int, part: Int) -> UInt64 {
    UInt64(index) | UInt64(part) << 32
  }

  // MARK: Videos

  private func draw(
    _ finding: VideoExplainer.Finding, index: Int, into folder: ExplanationFolder?
  ) throws -> FileExplanation {
    var explanation = finding.explanation
    guard let folder else { return explanation }
    let base = try folder.frames(of: index)
    var subjects: [ImageExplainer.Subject] = []
    for candidate in finding.drawn {
      var face = explanation.faces[candidate.place].face
      let name = "\(base)/\(face?.frame ?? candidate.place)"
      face?.scene = try candidate.scene.map { try Self.write($0, to: "\(name)-scene.jpg") }
      explanation.faces[candidate.place].face = face
      subjects.append(
        ImageExplainer.Subject(
          image: candidate.image, path: explanation.path, face: face,
          sample: Self.sample(index, part: candidate.place), base: name))
    }
    for (candidate, said) in zip(finding.drawn, try run(subjects)) {
      explanation.faces[candidate.place].pictures = said.pictures
    }
    return explanation
  }

  private static func write(_ scene: RGBImage, to path: String) throws -> String {
    try DurableFile.write(JPEGCodec.encode(scene, quality: 90), to: path)
    return path
  }
}
