import Foundation
import Foundations
import Images
import MessagePassing

/// The folder that the pictures and pages of explanations go to.
///
/// Nothing in it is touched before the first image is to be drawn; then earlier pages go first, so that
/// none ever stands beside pictures that it does not speak of.
final class ExplanationFolder {
  private let path: String
  private let names: PictureNames
  private let subject: ExplanationPage.Subject
  private let prototypes: ComparedPrototypes?
  private let inputs: Int
  private var isBegun = false
  /// Rank 0's, once there is an image.
  private(set) var pages: ExplanationPages?

  /// Makes the folder, and makes sure that nothing there stands in the way. Collective.
  ///
  /// - Parameter paths: of all files, in order.
  /// - Throws: `FileError`, `ExplanationJob.PictureInTheWay`, `PageFrame.InTheWay`, `MPIError`.
  init(
    _ path: String, paths: [BytePath], subject: ExplanationPage.Subject,
    prototypes: ComparedPrototypes?, communicator: Communicator
  ) throws {
    self.path = path
    self.subject = subject
    self.prototypes = prototypes
    inputs = paths.count
    try DurableFile.makeFolder(path)
    let names = PictureNames(paths)
    self.names = names
    try communicator.agreed {
      guard communicator.isRoot, !Self.isEmpty(path) else { return }
      for number in 1...ExplanationPages.count(ofImages: paths.count) {
        try PageFrame.check(
          "\(path)/\(ExplanationPage.file(number: number))", for: .explanations)
      }
      let methods = prototypes?.attribution.prototypes.methods ?? []
      let others = PrototypePictures.fileNames(of: methods).map {
        "\(path)/\(Self.prototypePicture($0))"
      }
      try Self.check(paths, others: others) { index in
        let base = "\(path)/\(names[index])"
        return PictureKind.allCases.map { ExplanationPictures.path(base, $0) }
          + [Self.faces(base), Self.frames(base)].flatMap(Self.files)
      }
    }
  }

  /// What the files of an image's pictures begin with.
  func base(of index: Int) -> String { "\(path)/\(names[index])" }

  /// The folder of the pictures of a photo's faces, made if it isn't there. No image's picture is called so.
  func faces(of index: Int) throws -> String {
    let folder = Self.faces(base(of: index))
    try DurableFile.makeFolder(folder)
    return folder
  }

  /// The same of a video's frames.
  func frames(of index: Int) throws -> String {
    let folder = Self.frames(base(of: index))
    try DurableFile.makeFolder(folder)
    return folder
  }

  private static func faces(_ base: String) -> String { "\(base)-faces" }
  private static func frames(_ base: String) -> String { "\(base)-frames" }

  /// What is in a folder, if there is one.
  private static func files(in folder: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).map { "\(folder)/\($0)" }
  }

  /// Before pictures are drawn: takes earlier pages away and draws the prototypes, if any rank has an
  /// image and none had one before. Collective.
  func begin(hasImages: Bool, _ communicator: Communicator) throws {
    guard !isBegun, try communicator.any(hasImages) else { return }
    isBegun = true
    try communicator.agreed {
      guard communicator.isRoot else { return }
      try ExplanationPages.removeAll(in: path)
      var subject = subject
      subject.prototypes = try drawPrototypes()
      pages = ExplanationPages(in: path, subject: subject, inputs: inputs)
    }
  }

  /// Writes the last page, and tells where the first one is. Collective.
  func finish(_ summary: inout ExplanationJob.Summary, _ communicator: Communicator) throws {
    summary.page = "\(path)/\(ExplanationPage.file(number: 1))"
    let missing = try communicator.broadcast(pages?.withoutPictures ?? 0)
    if missing > 0 {
      summary.notes.append(
        "\(path): of \(FigureText.count(missing, "image")) the pictures were drawn on other hosts "
          + "and are not here, where the page is; use a folder that all hosts share")
    }
    try pages?.finish(summary)
  }

  private static func prototypePicture(_ name: String) -> String { "prototypes/\(name).png" }

  private func drawPrototypes() throws -> [PrototypeCard] {
    guard let prototypes = prototypes?.attribution.prototypes else { return [] }
    try DurableFile.makeFolder("\(path)/prototypes")
    let files = PrototypePictures.fileNames(of: prototypes.methods).map(Self.prototypePicture)
    return try prototypes.methods.enumerated().map { index, method in
      let map = Array(prototypes.map(index))
      let picture = PrototypePictures.render(
        map, width: prototypes.width, height: prototypes.height)
      try PNGCodec.write(picture, to: "\(path)/\(files[index])")
      return PrototypeCard(
        method: method, count: Int(prototypes.counts[index]), range: Heatmap.range(of: map),
        file: files[index], width: picture.width, height: picture.height)
    }
  }

  // MARK: What stands in the way

  private static func isEmpty(_ path: String) -> Bool {
    guard let folder = opendir(path) else { return false }
    defer { closedir(folder) }
    // Besides itself and the one above.
    return !(0..<3).allSatisfy { _ in readdir(folder) != nil }
  }

  /// Throws `ExplanationJob.PictureInTheWay` if one of the pictures would be written over one of the
  /// images, as where both are in one folder.
  private static func check(
    _ paths: [BytePath], others: [String], pictures: (Int) -> [String]
  ) throws {
    struct Identity: Hashable {
      let device: UInt64
      let node: UInt64
    }
    func identity(_ path: BytePath, followingLinks: Bool) -> Identity? {
      var status = stat()
      let result = path.withCString { followingLinks ? stat($0, &status) : lstat($0, &status) }
      return result == 0
        ? Identity(device: UInt64(status.st_dev), node: UInt64(status.st_ino)) : nil
    }
    var existing: [Identity: String] = [:]
    func note(_ file: String) {
      if let found = identity(BytePath(file), followingLinks: false) { existing[found] = file }
    }
    others.forEach(note)
    for index in paths.indices { pictures(index).forEach(note) }
    guard !existing.isEmpty else { return }
    for path in paths {
      if let found = identity(path, followingLinks: true), let file = existing[found] {
        throw ExplanationJob.PictureInTheWay(picture: file, image: path.description)
      }
    }
  }
}
