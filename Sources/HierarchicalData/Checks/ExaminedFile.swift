import Foundation

/// What is found out about an HDF5 file before the library opens it: that no program writes it, and that its
/// structure is whole. Files may be examined beside one another, and beside the library, which does one thing at
/// a time.
public struct ExaminedFile: Sendable {
  public let path: String
  /// To be remembered; `nil` of a file that isn't HDF5, which the library says.
  let checked: CheckedFile?
  /// Where the rows of datasets lie, by names, of those whose every row lies in one piece.
  let rows: [String: StoredRows]

  /// - Parameter known: what was found of the file before: the same is not walked through again.
  /// - Throws: `HDF5Error` if there is no readable regular file of this name, if its structure is damaged, and
  ///   if another program has it open for writing.
  public init(_ path: String, known: CheckedFile? = nil) throws(HDF5Error) {
    // The operating system's own words are better than the library's, and a pipe would hang it.
    try Self.requireRegularFile(path)
    if WriterCheck.isWritten(path) {
      throw HDF5Error(
        file: path, action: "cannot open",
        reason: "another program has it open for writing (it holds HDF5's lock on it); wait until "
          + "that is done, or close the file there")
    }
    self.path = path
    if let known, FileStamp(of: path) == known.identity {
      (checked, rows) = (known, [:])
      return
    }
    if let reason = GlobalHeapCheck(of: path).problem {
      throw HDF5Error(file: path, action: "cannot open", reason: reason)
    }
    do throws(StructureDamage) {
      let structure = try StructureCheck(of: path)
      (checked, rows) = (structure.checked, structure.rootRows)
    } catch {
      throw HDF5Error(
        file: path, action: "cannot open", reason: error.reason, isInputOutput: error.isInputOutput)
    }
  }

  /// Whether the file of this name is the one that was examined.
  var isStillThere: Bool { checked.map { FileStamp(of: path) == $0.identity } ?? true }

  static func requireRegularFile(_ path: String) throws(HDF5Error) {
    func refuse(_ reason: String, isInputOutput: Bool = false) -> HDF5Error {
      HDF5Error(file: path, action: "cannot open", reason: reason, isInputOutput: isInputOutput)
    }
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw refuse(String(cString: strerror(errno)), isInputOutput: true)
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw refuse("it is not a regular file") }
    guard access(path, R_OK) == 0 else {
      throw refuse(String(cString: strerror(errno)), isInputOutput: true)
    }
  }
}
