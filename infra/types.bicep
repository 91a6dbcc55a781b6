@export()
@description('Tags of a resource: values by name.')
type tagSet = {
  *: string
}

@export()
@description('Settings of the app: values by environment variable.')
type settingSet = {
  *: string
}

@export()
@description('One service of a resource that gets an address in the private network.')
type endpointTarget = {
  @description('Name of the resource.')
  resource: string

  @description('Id of the resource.')
  id: string

  @description('Which of its services, in the words of Azure Private Link.')
  groupId: string

  @description('The DNS zones whose names then lead to that address.')
  zones: string[]
}
