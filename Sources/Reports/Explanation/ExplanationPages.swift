import Foundation
import Foundations

/// Writes the pages of explanations while images come: `index.html` and, of many images, `page-2.html`
/// and so on.
///
/// A page is written when its images are all there, as their pictures are; then the one before it gets
/// a link to it, and the first page, which counts images and lists pages, is written anew. Each time a
/// whole file takes the place of another. So whoever looks, or ends the job, at any time finds pages
/// that claim nothing that isn't there. Memory holds three pages, however many images there are.
final class ExplanationPages {
  static let imagesPerPage = 200
  /// Files without an image that the first page names.
  static let skippedLimit = 100

  private let folder: String
  private let subject: ExplanationPage.Subject
  private let inputs: Int
  private let perPage: Int
  /// The images of the first page, of the last one that is written, and of the one that is not full.
  private var first: [HTML] = []
  private var last: [HTML] = []
  private var waiting: [HTML] = []
  /// Pages that are written, and what their files come to.
  private var written = 0
  private var explained = 0
  private var verdicts = 0
  private var fakes = 0
  /// Images whose pictures are not in the folder, as this rank sees it.
  private(set) var withoutPictures = 0

  /// Nothing is written before a page is full.
  ///
  /// - Parameter inputs: images and other files that are given.
  init(
    in folder: String, subject: ExplanationPage.Subject, inputs: Int,
    perPage: Int = ExplanationPages.imagesPerPage
  ) {
    self.folder = folder
    self.subject = subject
    self.inputs = inputs
    self.perPage = perPage
  }

  /// The most pages that so many images take.
  static func count(ofImages images: Int) -> Int {
    max(1, (images + imagesPerPage - 1) / imagesPerPage)
  }

  /// Takes the next file. Its pictures are there, unless another rank drew them on a disk of its own.
  ///
  /// - Throws: `FileError`.
  func add(_ explanation: FileExplanation) throws {
    explained += 1
    verdicts += explanation.verdicts.count
    fakes += explanation.verdicts.count { $0 }
    var explanation = explanation
    var isMissing = false
    for place in explanation.faces.indices {
      let files = explanation.faces[place].files
      guard !files.isEmpty, !isThere(files) else { continue }
      explanation.faces[place].pictures = []
      explanation.faces[place].face?.scene = nil
      isMissing = true
    }
    if isMissing { withoutPictures += 1 }
    waiting.append(
      ExplanationCard(explanation, number: explained, subject: subject, folder: folder).html)
    if waiting.count == perPage { try writeWaiting(ending: nil) }
  }

  private func isThere(_ files: [String]) -> Bool {
    func look() -> Bool { files.allSatisfy { access($0, F_OK) == 0 } }
    if look() { return true }
    // A network file system may still remember that there was no such file; opening the folder makes it
    // ask again.
    if let opened = opendir(folder) { closedir(opened) }
    return look()
  }

  /// Writes what is left, and that this is all.
  ///
  /// - Throws: `FileError`.
  func finish(_ summary: ExplanationJob.Summary) throws {
    if waiting.isEmpty && written > 0 {
      try writeFirst(ending: summary)
    } else {
      try writeWaiting(ending: summary)
    }
  }

  private func writeWaiting(ending summary: ExplanationJob.Summary?) throws {
    let before = last
    last = waiting
    waiting = []
    written += 1
    if written == 1 {
      first = last
    } else {
      try write(written, last)
      if written > 2 { try write(written - 1, before) }
    }
    try writeFirst(ending: summary)
  }

  private func write(_ number: Int, _ cards: [HTML]) throws {
    let page = ExplanationPage(
      subject: subject, number: number, pages: written, perPage: perPage, cards: cards)
    try write(page)
  }

  private func writeFirst(ending summary: ExplanationJob.Summary?) throws {
    var page = ExplanationPage(
      subject: subject, number: 1, pages: written, perPage: perPage, cards: first)
    page.overview = ExplanationPage.Overview(
      inputs: inputs, explained: explained, verdicts: verdicts, fakes: fakes, end: summary)
    try write(page)
  }

  private func write(_ page: ExplanationPage) throws {
    try DurableFile.write(
      page.html, to: "\(folder)/\(ExplanationPage.file(number: page.number))")
  }

  /// Takes the pages of earlier explanations out of a folder; the first one first, as links to the
  /// others stand on it.
  ///
  /// - Throws: `FileError`.
  static func removeAll(in folder: String) throws {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let pages = names.filter { $0.wholeMatch(of: /page-[0-9]+\.html/) != nil }
    for name in [ExplanationPage.file(number: 1)] + pages.sorted() {
      let path = "\(folder)/\(name)"
      guard PageFrame.isPage(at: path, of: .explanations) else { continue }
      guard unlink(path) == 0 || errno == ENOENT else {
        throw FileError(operation: "remove the earlier page", path: path)
      }
    }
    try DurableFile.synchroniseFolder(folder)
  }
}
